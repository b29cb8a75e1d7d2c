"""What is secret never gets out: by its name, by its form, inside of anything, in every rendering."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from flyteidl.core import literals_pb2
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from flyteform.cli.markdown import render_markdown
from flyteform.cli.render import render
from flyteform.provision.document import plan_document
from flyteform.provision.model import Action, Address, Change, Desired, FieldChange, Kind, Plan
from flyteform.provision.redaction import CHANGED, HIDDEN, is_secret_name, redact_field, redact_text, redact_value
from flyteform.provision.text import literal_text
from flyteform.provision.verdicts import Level, Verdict
from support.plans import FIELDS, TEXTS

# What nobody would write into a declaration for another reason.
SECRET = "hunter2Xq"  # noqa: S105 - a made-up one
TASK = Address(Kind.TASK, "p", "d", "m.t")


@pytest.mark.parametrize(
    "name",
    [
        "PASSWORD", "db_password", "dbPassword", "DB-PASSWD", "api_key", "apiKey", "APIKEY", "AWS_SECRET_ACCESS_KEY",
        "GITHUB_TOKEN", "token", "client-secret", "private.key", "credentials", "SSH_KEY", "connectionString",
        "PGPASS_PASSWORD",
        "mypassword", "DSN", "authorization", "signing_key", "secret2",
    ],
)  # fmt: skip
def test_names_that_say_secret(name: str) -> None:
    """Words of any spelling and joint are recognised."""
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["key", "primary_key", "max_tokens", "x", "compass", "monkey", "author", "passenger", "tokenizer", "user", ""],
)
def test_names_that_do_not(name: str) -> None:
    """What only contains such letters, or is a key to something else, stays readable."""
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "path",
    [
        "environment.DB_PASSWORD", "default_inputs.password", "fixed_inputs.api_key", "nodes.n0.inputs.token",
        "labels.secret", "k8s_pod.pod_spec.containers.primary.env.GITHUB_TOKEN", "custom.auth.password",
        "envs.TOKEN",
    ],
)  # fmt: skip
def test_values_of_secret_names_are_hidden(path: str) -> None:
    """The value goes, that it has changed stays."""
    assert redact_field(FieldChange(path, None, SECRET)) == FieldChange(path, None, HIDDEN)
    assert redact_field(FieldChange(path, SECRET, "other")) == FieldChange(path, HIDDEN, CHANGED)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("inputs.password", "str"),
        ("outputs.token", "str"),
        ("nodes.n0.inputs.password", "inputs.password"),
        ("outputs.token.from", "n0.o0"),
        ("secrets.db/password", "env_var"),
        ("environment.MODE", "fast"),
        ("nodes.n0", "m.login(password←inputs.password)"),
    ],
)
def test_types_and_sources_are_no_secrets(path: str, value: str) -> None:
    """The type of an input called password, or where it comes from, is worth knowing and tells nothing."""
    assert redact_value(path, value) == value


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://user:{SECRET}@db/x",
        f"https://:{SECRET}@host",
        f"https://x/y?token={SECRET}&z=1",
        f"https://x/y?X-Amz-Security-Token={SECRET}",
        f'{{"password": "{SECRET}"}}',
        f"{{'db': {{'password': '{SECRET}'}}}}",
        f"m.login(password='{SECRET}', x=1)",
        f"Authorization: Bearer {SECRET}abcdef",
        f"header 'Basic {SECRET}=='",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY----- {SECRET}",
        f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx{SECRET}.{SECRET}",
        f"ghp_{SECRET}{SECRET}",
        f"xoxb-{SECRET}-1",
        f"--password={SECRET}",
        f"PGPASSWORD={SECRET} psql",
    ],
)
def test_secrets_inside_of_texts_are_hidden(text: str) -> None:
    """Passwords in URLs, structures and calls, keys and tokens by their form; once hidden, they stay so."""
    hidden = redact_text(text)
    assert SECRET not in hidden
    assert redact_text(hidden) == hidden


def test_aws_keys_are_known_by_their_form() -> None:
    """An access key id of AWS is recognised wherever it stands."""
    assert "AKIAIOSFODNN7EXAMPLE" not in redact_text("key AKIAIOSFODNN7EXAMPLE.")


def test_values_of_structures_are_hidden_by_their_keys() -> None:
    """Maps and structured values show their keys; those that say secret have no value."""
    literal = literals_pb2.Literal()
    literal.map.literals["password"].scalar.primitive.string_value = SECRET
    literal.map.literals["user"].scalar.primitive.string_value = "me"
    assert literal_text(literal) == f"{{password: {HIDDEN}, user: 'me'}}"
    structured = literals_pb2.Literal()
    structured.scalar.generic.update({"db": [{"apiKey": SECRET, "host": "h"}]})
    assert SECRET not in literal_text(structured)
    assert "'host': 'h'" in literal_text(structured)


@given(FIELDS)
def test_hiding_twice_is_hiding_once(field: FieldChange) -> None:
    """What comes out of one redaction goes through the next unchanged, so every layer may hide for itself."""
    once = redact_field(field)
    assert redact_field(once) == once


SECRET_PLACES = st.sampled_from(
    [
        ("environment.PASSWORD", SECRET),
        ("default_inputs.token", f"'{SECRET}'"),
        ("nodes.n1", f"m.login(api_key='{SECRET}', x=1)"),
        ("default_inputs.url", f"'postgresql://u:{SECRET}@h/d'"),
        ("custom.spec", json.dumps({"a": [{"clientSecret": SECRET}]})),
        ("container.args", json.dumps(["--password", "x", f"--token={SECRET}"])),
        ("fixed_inputs.config", f"{{'password': '{SECRET}'}}"),
    ]
)


@given(SECRET_PLACES, TEXTS, TEXTS, st.booleans())
def test_no_rendering_shows_a_secret(place: tuple[str, str], name: str, other: str, drift: bool) -> None:
    """Wherever a secret is in a plan, text, JSON and Markdown do not have it, whatever stands around it."""
    path, value = place
    fields = (FieldChange(path, None, value), FieldChange(path, value, other), FieldChange("image", name, other))
    change = Change(
        Action.UPDATE, replace(TASK, name=name), f"changed: x password={SECRET}", fields=fields, drift=drift
    )
    verdicts = (Verdict("p", Level.WARN, f"token={SECRET}", (TASK,)),)
    plan = Plan("h:1", Desired(), (change,), verdicts=verdicts)
    console = Console(width=200, force_terminal=True)
    with console.capture() as capture:
        console.print(render(plan, full=True))
    assert SECRET not in capture.get()
    assert SECRET not in json.dumps(plan_document(plan))
    assert SECRET not in render_markdown(plan)
