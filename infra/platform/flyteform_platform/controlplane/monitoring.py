"""Scraping and alerts of the control plane, for the Prometheus operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pulumi_kubernetes.apiextensions import CustomResource

from flyteform_platform.controlplane.names import COMPONENT, HTTP, LOGIN_SECRET, NAME, service_host
from flyteform_platform.parts.deployments import metadata
from flyteform_platform.parts.labels import selector

if TYPE_CHECKING:
    import pulumi

_API: Final = "monitoring.coreos.com/v1"
_FAILURES: Final = 'grpc_server_handled_total{job="flyteform",grpc_code=~"Internal|Unavailable|Unknown|DataLoss"}'
# The link of a data plane is one call that lasts for hours.
_SECONDS: Final = 'grpc_server_handling_seconds_bucket{job="flyteform",grpc_service!="flyteform.v1.DataPlaneLink"}'


def monitor(namespace: str, opts: pulumi.ResourceOptions) -> None:
    """Have `/metrics` scraped by a client of the login, and alerts raised."""
    oauth = {
        # The user's client: metrics are for whoever may see everything else.
        "clientId": {"secret": {"name": LOGIN_SECRET, "key": "flyteform.id"}},
        "clientSecret": {"name": LOGIN_SECRET, "key": "flyteform.secret"},
        "tokenUrl": f"http://{service_host(namespace)}:{HTTP}/oauth2/token",
        "scopes": ["all"],
    }
    spec: dict[str, Any] = {
        "selector": {"matchLabels": selector(COMPONENT)},
        "endpoints": [{"port": "http", "path": "/metrics", "interval": "30s", "oauth2": oauth}],
    }
    _custom("ServiceMonitor", namespace, spec, opts)
    _custom("PrometheusRule", namespace, {"groups": [{"name": "flyteform", "rules": _rules()}]}, opts)


def _rules() -> list[dict[str, Any]]:
    return [
        _alert("FlyteformDown", 'absent(up{job="flyteform"} == 1)', "2m", "critical", "no replica answers"),
        _alert(
            "FlyteformCallsFail",
            f'sum(rate({_FAILURES}[5m])) / sum(rate(grpc_server_handled_total{{job="flyteform"}}[5m])) > 0.05',
            "10m",
            "critical",
            "more than 5 % of the calls fail by the platform's fault",
        ),
        _alert(
            "FlyteformCallsSlow",
            f"histogram_quantile(0.99, sum by (le) (rate({_SECONDS}[5m]))) > 2",
            "15m",
            "warning",
            "one call of a hundred takes more than 2 s",
        ),
        _alert(
            "FlyteformRestarts",
            'increase(kube_pod_container_status_restarts_total{container=~"controlplane|dataplane"}[30m]) > 3',
            "5m",
            "warning",
            "a process of the platform restarts again and again",
        ),
        _alert(
            "FlyteformReleaseFailed",
            'kube_job_status_failed{job_name=~"flyteform-release-.*"} > 0',
            "1m",
            "critical",
            "the databases were not migrated: the former release serves on",
        ),
    ]


def _alert(name: str, expression: str, duration: str, severity: str, summary: str) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": duration,
        "labels": {"severity": severity},
        "annotations": {"summary": summary},
    }


def _custom(kind: str, namespace: str, spec: dict[str, Any], opts: pulumi.ResourceOptions) -> None:
    CustomResource(
        f"flyteform-{kind.lower()}",
        api_version=_API,
        kind=kind,
        metadata=metadata(NAME, namespace, COMPONENT),
        spec=spec,
        opts=opts,
    )
