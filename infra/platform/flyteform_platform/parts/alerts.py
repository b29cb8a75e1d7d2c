"""Alerts, as rules of the Prometheus operator: each one says what no longer works, and what to look at first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pulumi_kubernetes.apiextensions import CustomResource

from flyteform_platform.parts.deployments import metadata

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pulumi

MONITORING: Final = "monitoring.coreos.com/v1"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert: `expression` has to hold for as long as `lasting` says (`5m`). Critical ones wake somebody."""

    name: str
    expression: str
    lasting: str
    summary: str
    first: str
    critical: bool = False

    def rule(self) -> dict[str, Any]:
        """Return it as a rule."""
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": self.lasting,
            "labels": {"severity": "critical" if self.critical else "warning"},
            "annotations": {"summary": self.summary, "description": self.first},
        }


def unavailable(name: str, deployment: str, namespace: str, summary: str, first: str, *, lasting: str = "5m") -> Alert:
    """Return the alert that no pod of a Deployment is ready."""
    chosen = f'{{namespace="{namespace}",deployment="{deployment}"}}'
    expression = f"kube_deployment_status_replicas_available{chosen} == 0"
    return Alert(name, expression, lasting, summary, first, critical=True)


def restarting(name: str, namespace: str) -> Alert:
    """Return the alert that containers of a namespace begin again and again."""
    chosen = f'{{namespace="{namespace}"}}'
    return Alert(
        name,
        f"increase(kube_pod_container_status_restarts_total{chosen}[30m]) > 3",
        "5m",
        "{{ $labels.container }} of {{ $labels.pod }} begins again and again",
        f"kubectl logs --previous --namespace {namespace} {{{{ $labels.pod }}}}",
    )


def alert_rules(
    name: str, namespace: str, component: str, alerts: Iterable[Alert], opts: pulumi.ResourceOptions
) -> CustomResource:
    """Make the rules, where the Prometheus of the cluster finds them."""
    return CustomResource(
        f"{name}-prometheusrule",
        api_version=MONITORING,
        kind="PrometheusRule",
        metadata=metadata(name, namespace, component),
        spec={"groups": [{"name": name, "rules": [each.rule() for each in alerts]}]},
        opts=opts,
    )
