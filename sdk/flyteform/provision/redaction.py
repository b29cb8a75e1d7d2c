"""What is secret in a plan, and how it is kept out of every output.

Secret is the value of anything whose name says so (`DB_PASSWORD`, `apiKey`, `auth-token`, …), the password inside a
URL, and what has the form of a well-known credential (a PEM block, a JSON Web Token, keys of AWS, GitHub, Slack, …).
Names of secrets that a task asks for are no secrets: their values are never part of a declaration.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from flyteform.provision.model import FieldChange

if TYPE_CHECKING:
    from flyteform.provision.model import Change

HIDDEN = "(secret)"
CHANGED = "(secret, changed)"

_WORDS = frozenset(
    {
        "secret", "secrets", "password", "passwords", "passwd", "passphrase", "pwd", "pass", "token", "credential",
        "credentials", "creds", "apikey", "authorization", "dsn", "cookie",
    }
)  # fmt: skip
# Words that are secret next to each other only: a `key` alone may be anything.
_PAIRS = frozenset(
    {
        ("api", "key"), ("access", "key"), ("private", "key"), ("signing", "key"), ("encryption", "key"),
        ("account", "key"), ("service", "key"), ("master", "key"), ("shared", "key"), ("ssh", "key"),
        ("connection", "string"), ("conn", "str"), ("client", "key"), ("auth", "key"), ("auth", "header"),
    }
)  # fmt: skip
_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z]+")
_RUN_TOGETHER = re.compile(r"(?:password|passwd|secret|apikey|accesskey|privatekey|connectionstring)", re.IGNORECASE)
# Fields of these names tell the type of a variable, or which secrets a task asks for, not a value.
_TYPES = re.compile(r"^(?:inputs|outputs)\.[^.]+(?:\.description)?$|^secrets(?:\.|$)")
# Where an input comes from. Values are written otherwise: texts in quotes, numbers with digits after the point.
_SOURCE = re.compile(r"^[A-Za-z][\w-]*\.[A-Za-z_][\w.\[\]]*$")
_FORMS = tuple(
    re.compile(pattern, flags)
    for pattern, flags in (
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL),
        (r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*", 0),
        (r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", 0),
        (r"\b(?:gh[pousr]_|github_pat_|glpat-)[\w-]{16,}", 0),
        (r"\bxox[abeprs]-[\w-]{10,}", 0),
        (r"\bsk-[\w-]{20,}", 0),
        (r"\bAIza[\w-]{30,}", 0),
    )
)
_AFTER_NAME = re.compile(r"(?i)(\bbearer\s+|\bbasic\s+)([A-Za-z0-9+/._~=-]{8,})")
_URL_PASSWORD = re.compile(r"(\b\w[\w+.-]{0,40}://[^/\s:@'\"]{0,200}:)([^/\s'\"]{1,2000})(@)")
# name='value', name: value, "name": "value", ?name=value: the name decides.
_NAME = re.compile(r"""(?<!\w)([A-Za-z_][\w.-]{0,200})['"]?\s{0,20}[=:]\s*""")
_VALUE = re.compile(r"""'(?:[^'\\]|\\.)*(?:'|$)|"(?:[^"\\]|\\.)*(?:"|$)|[^\s,;&)}\]'"]+""", re.DOTALL)


def is_secret_name(name: str) -> bool:
    """Say whether what is called so is secret, by the words of its name."""
    words = [word.lower() for word in _BOUNDARY.split(name) if word]
    pairs = itertools.pairwise(words)
    return (
        not _WORDS.isdisjoint(words)
        or any(pair in _PAIRS for pair in pairs)
        or _RUN_TOGETHER.search(name.replace("_", "")) is not None
    )


def redact_text(text: str) -> str:
    """Hide what is secret inside a text, whatever it is the value of."""
    for form in _FORMS:
        text = form.sub(HIDDEN, text)
    text = _URL_PASSWORD.sub(rf"\g<1>{HIDDEN}\g<3>", text)
    text = _AFTER_NAME.sub(rf"\g<1>{HIDDEN}", text)
    return _hide_named(text)


def redact_field(change: FieldChange) -> FieldChange:
    """Return the field with its secrets hidden; that a secret has changed can still be seen."""
    before, after = redact_value(change.path, change.before), redact_value(change.path, change.after)
    if before == after and change.before != change.after and after is not None:
        after = CHANGED if after == HIDDEN else f"{after} {CHANGED}"
    return FieldChange(change.path, before, after)


def redact_change(change: Change) -> Change:
    """Return the step as it is written down: its fields and its reason without their secrets."""
    fields = tuple(redact_field(each) for each in change.fields)
    return replace(change, reason=redact_text(change.reason), fields=fields)


def redact_value(path: str, value: str | None) -> str | None:
    """Hide the value of the field at `path` if any part of the path names a secret, else the secrets inside it."""
    if value is None or value in (HIDDEN, CHANGED):
        return value
    named = not _TYPES.match(path) and any(is_secret_name(part) for part in path.split("."))
    if named and not ((".inputs." in path or path.endswith(".from")) and _SOURCE.match(value)):
        return HIDDEN
    return redact_text(value)


def _hide_named(text: str) -> str:
    """Hide the values of secret names inside a text; what follows any other name is looked at by itself."""
    parts, position = [], 0
    for name in _NAME.finditer(text):
        if name.start() < position or not is_secret_name(name[1]):
            continue
        value = _VALUE.match(text, name.end())
        if value is not None and not value[0].startswith(HIDDEN[:-1]):
            parts += [text[position : name.end()], HIDDEN]
            position = value.end()
    return "".join([*parts, text[position:]])
