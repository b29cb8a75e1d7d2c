"""Names and labels that Kubernetes takes, made from names that know nothing of its rules."""

from __future__ import annotations

import hashlib
import re

_NAME_LENGTH = 63
_LABEL_LENGTH = 63
_HASH_LENGTH = 8
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NOT_IN_NAMES = re.compile(r"[^a-z0-9-]+")
_NOT_IN_LABELS = re.compile(r"[^A-Za-z0-9._-]+")


def pod_name(attempt: str) -> str:
    """Return the name of an attempt's pod (`f1/n0/0/0` → `f1-n0-0-0`), the same for the same attempt.

    A name that cannot be told from it (too long, or other characters) ends in a hash of it, so two attempts never
    share a pod.
    """
    readable = attempt.replace("/", "-")
    if _NAME.fullmatch(readable):
        return readable
    name = _NOT_IN_NAMES.sub("-", readable.lower()).strip("-")
    digest = hashlib.sha256(attempt.encode()).hexdigest()[:_HASH_LENGTH]
    kept = name[: _NAME_LENGTH - _HASH_LENGTH - 1].strip("-")
    return f"{kept}-{digest}" if kept else f"a-{digest}"


def namespace_of(project: str, domain: str) -> str:
    """Return the namespace of a project's domain, as Flyte's template makes it."""
    return pod_name(f"{project}-{domain}")


def place_of(attempt: str) -> tuple[str, str]:
    """Return namespace and name of an attempt's pod; an attempt's name begins with project, domain and execution."""
    project, domain, rest = attempt.split("/", 2)
    return namespace_of(project, domain), pod_name(rest)


def execution_of(attempt: str) -> str:
    """Return the key of an attempt's execution: project, domain and name."""
    return "/".join(attempt.split("/")[:3])


def label_value(value: str) -> str:
    """Return a value as a label may have it: other characters become `-`, and what is too long is cut."""
    return _NOT_IN_LABELS.sub("-", value)[:_LABEL_LENGTH].strip("-._")


def label_text(name: str) -> str:
    """Return a name as Flyte's own labels have it (`wine.Train` → `wine-train`): people select pods by that."""
    return _NOT_IN_NAMES.sub("-", name.lower())[:_LABEL_LENGTH].strip("-")
