"""Charts' values: no key that the charts do not know. The charts themselves are not installed by tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flyteform_platform.addons.charts import ALL
from flyteform_platform.parts.documents import merged

if TYPE_CHECKING:
    from collections.abc import Iterator

_PODS = ("replicaCount", "podDisruptionBudget.enabled", "podDisruptionBudget.minAvailable")
_SECURITY = ("runAsNonRoot", "seccompProfile.type")
_SPEC = "prometheus.prometheusSpec"
# Keys of the charts' own values, of those that the platform may set; docs/platforms.md says where they were seen.
KNOWN: dict[str, set[str]] = {
    "cert_manager": {
        *_PODS,
        *(f"webhook.{each}" for each in _PODS),
        "crds.enabled",
        "crds.keep",
        "config.enableGatewayAPI",
    },
    "external_secrets": {*_PODS, "installCRDs", "leaderElect", "webhook.replicaCount"},
    "envoy_gateway": {"deployment.replicas", "podDisruptionBudget.minAvailable"},
    "monitoring": {
        "prometheus.serviceAccount.name",
        "grafana.sidecar.dashboards.enabled",
        f"{_SPEC}.replicas",
        f"{_SPEC}.retention",
        *(f"{_SPEC}.{kind}SelectorNilUsesHelmValues" for kind in ("serviceMonitor", "podMonitor", "rule")),
        f"{_SPEC}.storageSpec.volumeClaimTemplate.spec.accessModes",
        f"{_SPEC}.storageSpec.volumeClaimTemplate.spec.resources.requests.storage",
    },
    "cloudnative_pg": {
        "replicaCount",
        *(f"podSecurityContext.{each}" for each in _SECURITY),
        "containerSecurityContext.allowPrivilegeEscalation",
        "containerSecurityContext.readOnlyRootFilesystem",
        "containerSecurityContext.capabilities.drop",
    },
    "barman_cloud": set(),
    "metallb": {"crds.enabled"},
    "rook": {"crds.enabled"},
}


def paths(values: dict[str, Any], before: str = "") -> Iterator[str]:
    """Return the paths of all values."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from paths(value, f"{before}{key}.")
        else:
            yield f"{before}{key}"


@pytest.mark.parametrize("field", ALL)
def test_values(field: str) -> None:
    """Every key is one of the chart's: a misspelled one would be passed over in silence."""
    chart = ALL[field]
    assert set(paths(merged(chart.values, chart.production))) <= KNOWN[field]


@pytest.mark.parametrize("field", ALL)
def test_drained(field: str) -> None:
    """Where a budget keeps one pod, there are two: a node could not be drained otherwise."""
    values = merged(ALL[field].values, ALL[field].production)
    for part in (values, values.get("webhook", {})):
        if part.get("podDisruptionBudget"):
            assert (part.get("replicaCount") or part["deployment"]["replicas"]) >= 2
    assert "podDisruptionBudget" not in ALL[field].values


def test_pinned() -> None:
    """Every chart has one exact version and one origin."""
    for chart in ALL.values():
        assert chart.version.removeprefix("v").replace(".", "").isdigit(), chart.name
        assert chart.repository.startswith("https://") or chart.chart.startswith("oci://"), chart.name
