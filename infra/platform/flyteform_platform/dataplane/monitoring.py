"""Alerts of a data plane, in its own cluster: a control plane in another one cannot look in here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform_platform.dataplane.names import COMPONENT, NAME, WEBHOOK
from flyteform_platform.parts.alerts import alert_rules, restarting, unavailable

if TYPE_CHECKING:
    import pulumi


def monitor(namespace: str, opts: pulumi.ResourceOptions, *, webhook: bool) -> None:
    """Have alerts raised. An operator that has no link to the control plane is not ready, so that is seen here too."""
    logs = f"kubectl logs --namespace {namespace} deployment/"
    first = f"kubectl get pods --namespace {namespace}; {logs}{NAME}: has it a link and its lease?"
    alerts = [
        unavailable("FlyteformOperatorDown", NAME, namespace, "no operator is ready: no execution goes on", first),
        restarting("FlyteformDataPlaneRestarts", namespace),
    ]
    if webhook:
        summary = "the webhook is down: pods of tasks that ask for secrets cannot be made"
        alerts.append(unavailable("FlyteformWebhookDown", WEBHOOK, namespace, summary, f"{logs}{WEBHOOK}"))
    alert_rules(NAME, namespace, COMPONENT, alerts, opts)
