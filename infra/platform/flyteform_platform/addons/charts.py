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

    `account` is the path of the values that annotate its service account with a cloud's identity.
    """

    name: str
    namespace: str
    chart: str
    version: str
    repository: str = ""
    values: Json = field(default_factory=dict)
    account: tuple[str, ...] = ()
    level: str = "restricted"


CERT_MANAGER: Final = Chart(
    "cert-manager",
    "cert-manager",
    "cert-manager",
    "v1.19.1",
    "https://charts.jetstack.io",
    {
        "crds": {"enabled": True, "keep": True},
        "config": {"enableGatewayAPI": True},
        "podDisruptionBudget": {"enabled": True},
    },
    account=("serviceAccount", "annotations"),
)
EXTERNAL_SECRETS: Final = Chart(
    "external-secrets",
    "external-secrets",
    "external-secrets",
    "2.0.1",
    "https://charts.external-secrets.io",
    {"installCRDs": True, "podDisruptionBudget": {"enabled": True, "minAvailable": 1}},
    account=("serviceAccount", "annotations"),
)
ENVOY_GATEWAY: Final = Chart(
    "envoy-gateway",
    "envoy-gateway-system",
    "oci://docker.io/envoyproxy/gateway-helm",
    "v1.6.1",
    values={"deployment": {"replicas": 2}, "podDisruptionBudget": {"minAvailable": 1}},
)
MONITORING: Final = Chart(
    "monitoring",
    "monitoring",
    "kube-prometheus-stack",
    "79.5.0",
    "https://prometheus-community.github.io/helm-charts",
    {
        "prometheus": {
            "prometheusSpec": {
                "serviceMonitorSelectorNilUsesHelmValues": False,
                "ruleSelectorNilUsesHelmValues": False,
                "retention": "15d",
            }
        },
        # Where a password is set in values it ends in the state; without one the chart makes it in the cluster.
        "grafana": {"sidecar": {"dashboards": {"enabled": True}}},
    },
    account=("prometheus", "serviceAccount", "annotations"),
    # Its node exporter reads the node's own file systems.
    level="privileged",
)
CLOUDNATIVE_PG: Final = Chart(
    "cloudnative-pg",
    "cnpg-system",
    "cloudnative-pg",
    "0.26.1",
    "https://cloudnative-pg.github.io/charts",
    {"podSecurityContext": _RESTRICTED, "containerSecurityContext": _CONTAINER},
)
METALLB: Final = Chart(
    "metallb",
    "metallb-system",
    "metallb",
    "0.15.2",
    "https://metallb.github.io/metallb",
    {"crds": {"enabled": True}},
    # Its speakers answer ARP for addresses of the node's network.
    level="privileged",
)
ALL: Final = {
    "cert_manager": CERT_MANAGER,
    "external_secrets": EXTERNAL_SECRETS,
    "envoy_gateway": ENVOY_GATEWAY,
    "monitoring": MONITORING,
    "cloudnative_pg": CLOUDNATIVE_PG,
    "metallb": METALLB,
}
