"""The settings that a platform needs on every cluster, as a table over the recorded resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.recording.table import Row, holds

if TYPE_CHECKING:
    from support.recording.graph import Resource
    from support.recording.stacks import Recordings

_POD = "spec.template.spec"
_MAIN = f"{_POD}.containers[0]"


def _at_least_two(value: object) -> bool:
    return isinstance(value, int) and value >= 2


def _there(value: object) -> bool:
    return bool(value)


def _enforced(value: object) -> bool:
    return isinstance(value, dict) and value["pod-security.kubernetes.io/enforce"] == "restricted"


def _restricted(kind: str) -> list[Row]:
    settings = {
        f"{_POD}.securityContext.runAsNonRoot": True,
        f"{_POD}.securityContext.seccompProfile.type": "RuntimeDefault",
        f"{_MAIN}.securityContext.allowPrivilegeEscalation": False,
        f"{_MAIN}.securityContext.readOnlyRootFilesystem": True,
        f"{_MAIN}.securityContext.runAsNonRoot": True,
        f"{_MAIN}.securityContext.capabilities.drop": ["ALL"],
        f"{_MAIN}.resources.limits.memory": _there,
        f"{_MAIN}.resources.requests.cpu": _there,
    }
    return [Row(kind, setting, expected) for setting, expected in settings.items()]


CONTROL_PLANE = [
    *_restricted("Deployment"),
    *_restricted("Job"),
    Row("Deployment", f"{_POD}.automountServiceAccountToken", expected=False),
    Row("Deployment", f"{_MAIN}.startupProbe.httpGet.path", "/healthcheck"),
    Row("Deployment", f"{_MAIN}.readinessProbe.httpGet.path", "/readyz"),
    Row("Deployment", f"{_MAIN}.livenessProbe.httpGet.path", "/healthcheck"),
    Row("Deployment", f"{_POD}.topologySpreadConstraints[0].topologyKey", "topology.kubernetes.io/zone"),
    Row("Deployment", "spec.strategy.rollingUpdate.maxUnavailable", 0),
    Row("Deployment", "spec.replicas", None),
    Row("HorizontalPodAutoscaler", "spec.minReplicas", _at_least_two),
    Row("PodDisruptionBudget", "spec.maxUnavailable", 1),
    Row("NetworkPolicy", "spec.policyTypes", ["Ingress", "Egress"]),
    Row("NetworkPolicy", "spec.ingress", None, name="flyteform-default-deny"),
    Row("NetworkPolicy", "spec.egress", None, name="flyteform-default-deny"),
    Row("NetworkPolicy", "spec.podSelector", {}, name="flyteform-default-deny"),
    Row("Namespace", "metadata.labels", _enforced),
    Row("Secret", "stringData.password", _there, name="flyteform-admin-database", secret=True),
    Row("Secret", "stringData.AWS_SECRET_ACCESS_KEY", _there, name="flyteform-objects", secret=True),
    Row("providers:kubernetes", "kubeconfig", _there, secret=True),
    Row("Gateway", "spec.listeners[1].tls.mode", "Terminate"),
    Row("HTTPRoute", "spec.hostnames", ["flyte.example.org"]),
    Row("ServiceMonitor", "spec.endpoints[0].oauth2.tokenUrl", _there),
    Row("PrometheusRule", "spec.groups[0].rules", _there),
]
_TOKEN = f"{_POD}.volumes[2].projected.sources[0].serviceAccountToken"
DATA_PLANE = [
    *_restricted("Deployment"),
    Row("CustomResourceDefinition", "protect"),
    Row("Deployment", "spec.replicas", _at_least_two),
    Row("Deployment", f"{_TOKEN}.expirationSeconds", 600, "flyteform-dataplane"),
    Row("ResourceQuota", "spec.hard.pods", _there),
    Row("LimitRange", "spec.limits[0].default.memory", _there),
    Row("ServiceAccount", "automountServiceAccountToken", expected=False),
    Row("NetworkPolicy", "spec.egress[1].to[0].ipBlock.except", ["169.254.169.254/32"], "research-production-tasks"),
    Row("PodTemplate", "template.spec.automountServiceAccountToken", expected=False),
]


@pytest.mark.parametrize("row", CONTROL_PLANE, ids=str)
def test_control_plane(recordings: Recordings, row: Row) -> None:
    """The control plane's stack of production has the setting."""
    holds(recordings.shipped("onprem", "prod-controlplane"), row)


@pytest.mark.parametrize("row", DATA_PLANE, ids=str)
def test_data_plane(recordings: Recordings, row: Row) -> None:
    """The data plane's stack of production has the setting."""
    holds(recordings.shipped("onprem", "prod-dataplane-main"), row)


def _rules(role: Resource) -> list[dict[str, Any]]:
    return list(role.inputs["rules"])


@pytest.mark.parametrize("stack", ["dev", "prod-controlplane", "prod-dataplane-main"])
def test_roles(recordings: Recordings, stack: str) -> None:
    """No role has a wildcard, and none reads all Secrets, binds or escalates."""
    graph = recordings.shipped("onprem", stack)
    for role in [*graph.of("Role"), *graph.of("ClusterRole")]:
        for rule in _rules(role):
            assert "*" not in str(rule), role.short
            assert not {"bind", "escalate", "impersonate"} & set(rule["verbs"]), role.short
            if "secrets" in rule["resources"] and set(rule["verbs"]) != {"create"}:
                assert rule["resourceNames"], role.short


@pytest.mark.parametrize("stack", ["dev", "staging", "prod-controlplane", "prod-dataplane-main"])
def test_no_secret_in_clear(recordings: Recordings, stack: str) -> None:
    """No secret of the configuration is anywhere in the state unencrypted."""
    from support.recording.graph import Secret

    def clear(value: object) -> str:
        match value:
            case Secret():
                return ""
            case dict():
                return " ".join(map(clear, value.values()))
            case list():
                return " ".join(map(clear, value))
            case _:
                return str(value)

    for resource in recordings.shipped("onprem", stack).resources:
        assert "the-secret-of" not in clear(resource.marked), resource.short
