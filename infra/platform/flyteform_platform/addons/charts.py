"""The charts: where they are from, at which version, and the values that the platform needs of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]
_RESTRICTED: Final[Json] = {
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_CONTAINER: Final[Json] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart at one version. `repository` is empty where `chart` is an OCI address.

    `production` are values on top, where one pod may be lost: a budget of disruptions without a second pod would keep
    nodes from ever being drained. `account` is the path of the values that annotate its service account with a cloud's
    identity. Which versions there are, and what they work with, was looked up: docs/platforms.md.
    """

    name: str
    namespace: str
    chart: str
    version: str
    repository: str = ""
    values: Json = field(default_factory=dict)
    production: Json = field(default_factory=dict)
    account: tuple[str, ...] = ()
    level: str = "restricted"


# The service account of Prometheus, which clouds give an identity.
PROMETHEUS: Final = "prometheus"
_DISK: Final[Json] = {
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Gi"}}},
}
CERT_MANAGER: Final = Chart(
    "cert-manager",
    "cert-manager",
    "cert-manager",
    "v1.21.2",
    "https://charts.jetstack.io",
    {"crds": {"enabled": True, "keep": True}, "config": {"enableGatewayAPI": True}},
    {
        "replicaCount": 2,
        "podDisruptionBudget": {"enabled": True, "minAvailable": 1},
        "webhook": {"replicaCount": 3, "podDisruptionBudget": {"enabled": True, "minAvailable": 1}},
    },
    account=("serviceAccount", "annotations"),
)
EXTERNAL_SECRETS: Final = Chart(
    "external-secrets",
    "external-secrets",
    "external-secrets",
    # Its makers support the newest minor version alone.
    "2.13.0",
    "https://charts.external-secrets.io",
    {"installCRDs": True},
    {
        "replicaCount": 2,
        "leaderElect": True,
        "podDisruptionBudget": {"enabled": True, "minAvailable": 1},
        "webhook": {"replicaCount": 2},
    },
    account=("serviceAccount", "annotations"),
)
ENVOY_GATEWAY: Final = Chart(
    "envoy-gateway",
    "envoy-gateway-system",
    "oci://docker.io/envoyproxy/gateway-helm",
    "v1.9.1",
    production={"deployment": {"replicas": 2}, "podDisruptionBudget": {"minAvailable": 1}},
)
MONITORING: Final = Chart(
    "monitoring",
    "monitoring",
    "kube-prometheus-stack",
    "91.5.0",
    "https://prometheus-community.github.io/helm-charts",
    {
        "prometheus": {
            "serviceAccount": {"name": PROMETHEUS},
            "prometheusSpec": {
                "serviceMonitorSelectorNilUsesHelmValues": False,
                "podMonitorSelectorNilUsesHelmValues": False,
                "ruleSelectorNilUsesHelmValues": False,
                "retention": "15d",
            },
        },
        # Where a password is set in values it ends in the state; without one the chart makes it in the cluster.
        "grafana": {"sidecar": {"dashboards": {"enabled": True}}},
    },
    # What was measured outlives its pod.
    {"prometheus": {"prometheusSpec": {"replicas": 2, "storageSpec": {"volumeClaimTemplate": _DISK}}}},
    account=("prometheus", "serviceAccount", "annotations"),
    # Its node exporter reads the node's own file systems.
    level="privileged",
)
CLOUDNATIVE_PG: Final = Chart(
    "cloudnative-pg",
    "cnpg-system",
    "cloudnative-pg",
    "0.29.1",
    "https://cloudnative-pg.github.io/charts",
    {"podSecurityContext": _RESTRICTED, "containerSecurityContext": _CONTAINER},
    {"replicaCount": 2},
)
# Backups of CloudNativePG: since its version 1.31 it has none of its own. It has to be in the operator's namespace.
BARMAN_CLOUD: Final = Chart(
    "plugin-barman-cloud",
    CLOUDNATIVE_PG.namespace,
    "plugin-barman-cloud",
    "0.8.0",
    "https://cloudnative-pg.github.io/charts",
)
METALLB: Final = Chart(
    "metallb",
    "metallb-system",
    "metallb",
    "0.16.1",
    "https://metallb.github.io/metallb",
    {"crds": {"enabled": True}},
    # Its speakers answer ARP for addresses of the node's network.
    level="privileged",
)
ROOK: Final = Chart(
    "rook-ceph",
    "rook-ceph",
    "rook-ceph",
    "v1.20.0",
    "https://charts.rook.io/release",
    {"crds": {"enabled": True}},
    # Its daemons own the nodes' disks.
    level="privileged",
)
# In the order in which they are installed: one stands on those before it.
ALL: Final = {
    "cert_manager": CERT_MANAGER,
    "external_secrets": EXTERNAL_SECRETS,
    "envoy_gateway": ENVOY_GATEWAY,
    "monitoring": MONITORING,
    "cloudnative_pg": CLOUDNATIVE_PG,
    "barman_cloud": BARMAN_CLOUD,
    "metallb": METALLB,
    "rook": ROOK,
}
