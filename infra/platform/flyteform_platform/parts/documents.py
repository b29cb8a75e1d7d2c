"""Documents that go into the cluster, in its files or as its manifests."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return both; where both have a mapping it is merged, else `over` wins."""
    found = dict(base)
    for key, value in over.items():
        before = found.get(key)
        found[key] = merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return found


def named(schema: Any) -> Any:
    """Return a schema with the names that Pulumi's SDK has for Kubernetes' extensions: none of its own has a dash."""
    match schema:
        case dict():
            return {_named(key): named(each) for key, each in schema.items()}
        case list():
            return [named(each) for each in schema]
        case _:
            return schema


def _named(key: str) -> str:
    return key.replace("-", "_") if key.startswith("x-kubernetes-") else key


def checksum(*texts: str) -> str:
    """Return what changes when one of the texts does: as an annotation it makes pods start anew."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
