"""Other issuers that the operator pins: identity providers of people, and service accounts of clusters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from flyteform_controlplane.auth.files import damaged
from flyteform_controlplane.auth.keys import import_public_keys
from flyteform_controlplane.auth.verification import TrustedIssuer

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "trusted.json"
_FIELDS: Final = frozenset({"issuer", "audience", "jwks", "cluster", "subject"})


def read_trusted(directory: Path) -> tuple[TrustedIssuer, ...]:
    """Read `trusted.json`, `{"issuers": [{"issuer", "audience", "jwks", "cluster"?, "subject"?}]}`; () without it."""
    path = directory / FILE
    if not path.exists():
        return ()
    try:
        return tuple(_issuer(entry) for entry in json.loads(path.read_bytes())["issuers"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path, f"{type(error).__name__}: {error}") from error


def _issuer(entry: dict[str, Any]) -> TrustedIssuer:
    unknown = entry.keys() - _FIELDS
    if unknown:
        raise ValueError(f"unknown fields {sorted(unknown)}")
    issuer, audience = entry["issuer"], entry["audience"]
    cluster, subject = entry.get("cluster", ""), entry.get("subject", "")
    if not all(isinstance(text, str) for text in (issuer, audience, cluster, subject)) or not issuer or not audience:
        raise ValueError("issuer and audience have to be texts")
    if cluster and not subject:
        raise ValueError(f"the tokens of cluster {cluster} need the subject that may have them")
    return TrustedIssuer(issuer, audience, import_public_keys(entry["jwks"]), cluster, subject)
