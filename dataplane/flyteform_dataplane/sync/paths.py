"""The kinds that are kept in clusters, and where the API server has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Collection:
    """A kind's collection: `root` is /api/v1 or /apis/GROUP/VERSION."""

    root: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str, name: str) -> str:
        """Return the path of one resource."""
        inside = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced else ""
        return f"{self.root}{inside}/{self.plural}/{quote(name, safe='')}"


COLLECTIONS: Final[Mapping[tuple[str, str], Collection]] = {
    ("v1", "Namespace"): Collection("/api/v1", "namespaces", namespaced=False),
    ("v1", "ServiceAccount"): Collection("/api/v1", "serviceaccounts"),
    ("v1", "ResourceQuota"): Collection("/api/v1", "resourcequotas"),
    ("v1", "LimitRange"): Collection("/api/v1", "limitranges"),
    ("networking.k8s.io/v1", "NetworkPolicy"): Collection("/apis/networking.k8s.io/v1", "networkpolicies"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): Collection("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
}
