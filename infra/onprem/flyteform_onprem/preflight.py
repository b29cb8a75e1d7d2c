"""Says what a cluster lacks before anything is made in it: all of it at once, with what to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from flyteform_platform.errors import PlatformError

if TYPE_CHECKING:
    from flyteform_onprem.config import OnPremConfig
    from flyteform_onprem.facts import ClusterFacts

OLDEST: Final = (1, 32)
# As many nodes as copies of a database, or of an object in Ceph.
_COPIES: Final = 3
# The API group of an add-on: whether it is there already.
_GROUPS: Final = {
    "cert_manager": "cert-manager.io",
    "external_secrets": "external-secrets.io",
    "envoy_gateway": "gateway.networking.k8s.io",
    "monitoring": "monitoring.coreos.com",
    "cloudnative_pg": "postgresql.cnpg.io",
    "barman_cloud": "barmancloud.cnpg.io",
    "metallb": "metallb.io",
    "rook": "ceph.rook.io",
}


def require(config: OnPremConfig, facts: ClusterFacts) -> None:
    """Raise `PlatformError` with everything that is missing."""
    problems = missing(config, facts)
    if problems:
        raise PlatformError("the cluster is not ready for this stack:\n" + "\n".join(f"- {each}" for each in problems))


def missing(config: OnPremConfig, facts: ClusterFacts) -> list[str]:
    """Return what is missing, each as one sentence with its remedy."""
    return [*_cluster(facts), *_storage(config, facts), *_addons(config, facts), *_nodes(config, facts)]


def _cluster(facts: ClusterFacts) -> list[str]:
    found = []
    if facts.version < OLDEST:
        have, want = (".".join(map(str, each)) for each in (facts.version, OLDEST))
        found.append(f"Kubernetes is {have}: upgrade it to {want} or newer")
    if facts.refused:
        found.append(f"this account may not {', '.join(facts.refused)}: use one that is cluster-admin")
    if not json.loads(facts.jwks).get("keys"):
        found.append("the API server shows no keys of service accounts: allow this account to get /openid/v1/jwks")
    return found


def _storage(config: OnPremConfig, facts: ClusterFacts) -> list[str]:
    postgres, seaweedfs, rook = config.onprem.postgres.cluster, config.onprem.s3.seaweedfs, config.onprem.s3.rook
    wanted = {
        "onprem.storageClass": config.onprem.storage_class or None,
        "onprem.postgres.cluster.storageClass": postgres.storage_class if postgres else None,
        "onprem.s3.seaweedfs.storageClass": seaweedfs.storage_class if seaweedfs else None,
        "onprem.s3.rook.storageClass": rook.storage_class if rook else None,
    }
    found = []
    for field, name in wanted.items():
        if name and name not in facts.storage_classes:
            known = ", ".join(facts.storage_classes) or "none"
            found.append(f"{field} is {name}, and the cluster has {known}: name one of these, or make it")
        elif name == "" and not (config.onprem.storage_class or facts.default_storage_class):
            found.append(f"there is no default storage class: mark one, or name one as {field}")
    return found


def _addons(config: OnPremConfig, facts: ClusterFacts) -> list[str]:
    found = []
    for field, group in _GROUPS.items():
        addon = getattr(config.addons, field)
        name = _camel(field)
        if addon.present and group not in facts.groups:
            found.append(f"addons.{name} is present: true, and the cluster has no {group}: enable it")
        if addon.enabled and addon.present:
            found.append(f"addons.{name} is both enabled and present: say one of them")
    return found


def _nodes(config: OnPremConfig, facts: ClusterFacts) -> list[str]:
    if facts.nodes >= _COPIES:
        return []
    if config.is_production:
        return [f"the cluster has {facts.nodes} nodes: production needs {_COPIES}, so that one may be lost"]
    if config.onprem.s3.rook:
        return [f"the cluster has {facts.nodes} nodes: onprem.s3.rook needs {_COPIES}, for as many copies"]
    return []


def _camel(field: str) -> str:
    first, *rest = field.split("_")
    return first + "".join(each.capitalize() for each in rest)
