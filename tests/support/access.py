"""The rights under which operators run in tests on a real API server, and by which stacks are judged: one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyteform_dataplane.kubernetes.rbac import CLUSTER, Account, Scope, operator_manifests

if TYPE_CHECKING:
    from collections.abc import Iterable

Json = dict[str, Any]


def operator_rights(account: Account, scope: Scope = CLUSTER) -> list[Json]:
    """Return the account of an operator without plugins, with its roles and bindings."""
    return operator_manifests(account, scope=scope)


def bare(manifests: Iterable[Json]) -> list[Json]:
    """Return roles and bindings alone, in a fixed order and without labels: what they let do, and whom."""
    kept = ("name", "namespace")
    found = [
        {**each, "metadata": {key: each["metadata"][key] for key in kept if key in each["metadata"]}}
        for each in manifests
        if each["apiVersion"].startswith("rbac.")
    ]
    return sorted(
        found, key=lambda each: (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"])
    )
