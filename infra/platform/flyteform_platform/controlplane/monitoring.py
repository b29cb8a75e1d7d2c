"""Scraping and alerts of the control plane, for the Prometheus operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pulumi_kubernetes.apiextensions import CustomResource

from flyteform_platform.controlplane.names import COMPONENT, HTTP, LOGIN_SECRET, NAME, service_host
from flyteform_platform.parts.alerts import MONITORING, Alert, alert_rules, restarting, unavailable
from flyteform_platform.parts.deployments import metadata
from flyteform_platform.parts.labels import selector

if TYPE_CHECKING:
    import pulumi

_LINKS: Final = "flyteform.v1.DataPlaneLink"
_HANDLED: Final = f'grpc_server_handled_total{{job="{NAME}"}}'
_FAILURES: Final = f'grpc_server_handled_total{{job="{NAME}",grpc_code=~"Internal|Unavailable|Unknown|DataLoss"}}'
# The link of a data plane is one call that lasts for hours.
_SECONDS: Final = f'grpc_server_handling_seconds_bucket{{job="{NAME}",grpc_service!="{_LINKS}"}}'
_OPEN_LINKS: Final = f'grpc_server_in_flight{{job="{NAME}",grpc_service="{_LINKS}"}}'

_LOST: Final = f'flyteform_cluster_state{{job="{NAME}",state="lost"}}'


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
    CustomResource(
        f"{NAME}-servicemonitor",
        api_version=MONITORING,
        kind="ServiceMonitor",
        metadata=metadata(NAME, namespace, COMPONENT),
        spec=spec,
        opts=opts,
    )
    alert_rules(NAME, namespace, COMPONENT, _alerts(namespace), opts)


def _alerts(namespace: str) -> list[Alert]:
    pods = f"kubectl get pods,events --namespace {namespace}"
    return [
        unavailable("FlyteformDown", NAME, namespace, "no replica of the control plane is ready", pods, lasting="2m"),
        Alert(
            "FlyteformNotScraped",
            f'absent(up{{job="{NAME}"}} == 1)',
            "10m",
            "no replica gives its metrics: the alerts about calls are blind",
            f"the target serviceMonitor/{namespace}/{NAME} in Prometheus says why",
        ),
        Alert(
            "FlyteformCallsFail",
            f"sum(rate({_FAILURES}[5m])) / sum(rate({_HANDLED}[5m])) > 0.05",
            "10m",
            "more than 5 % of the calls fail by the platform's fault",
            f"kubectl logs --namespace {namespace} deployment/{NAME}: is a database out of reach?",
            critical=True,
        ),
        Alert(
            "FlyteformCallsSlow",
            f"histogram_quantile(0.99, sum by (le) (rate({_SECONDS}[5m]))) > 2",
            "15m",
            "one call of a hundred takes more than 2 s",
            "the databases' load, and whether the autoscaler has reached its maximum",
        ),
        Alert(
            "FlyteformNoDataPlane",
            # Without any call there is no such series at all.
            f"(sum({_OPEN_LINKS}) or vector(0)) < 1",
            "5m",
            "no cluster is linked: nothing that is started runs",
            "flyteform get clusters; then the operator's log in the cluster",
            critical=True,
        ),
        Alert(
            "FlyteformClusterLost",
            # Every replica tells of every cluster.
            f"max by (cluster) ({_LOST}) == 1",
            "5m",
            "cluster {{ $labels.cluster }} is silent: nothing is given to it, and what it has waits for it",
            "flyteform get clusters; then the operator's log in that cluster, and its way to the control plane",
            critical=True,
        ),
        Alert(
            "FlyteformMemory",
            f'process_resident_memory_bytes{{job="{NAME}"}} / on (namespace, pod) kube_pod_container_resource_limits'
            f'{{resource="memory",container="{COMPONENT}"}} > 0.9',
            "15m",
            "{{ $labels.pod }} is near its limit of memory, at which it is killed",
            "controlplane.resources.memory of the stack",
        ),
        Alert(
            "FlyteformAtMaximum",
            f'kube_horizontalpodautoscaler_status_current_replicas{{namespace="{namespace}"}}'
            f' >= kube_horizontalpodautoscaler_spec_max_replicas{{namespace="{namespace}"}}',
            "30m",
            "the autoscaler has reached its maximum and cannot follow the load",
            "controlplane.replicas.maximum of the stack",
        ),
        restarting("FlyteformRestarts", namespace),
        Alert(
            "FlyteformReleaseFailed",
            # By its condition: a job that succeeded at its second try has failed pods, too.
            f'kube_job_failed{{namespace="{namespace}",job_name=~"flyteform-release-.*",condition="true"}} == 1',
            "1m",
            "the databases were not migrated: the former release serves on",
            f"kubectl logs --namespace {namespace} job/{{{{ $labels.job_name }}}}",
            critical=True,
        ),
    ]
