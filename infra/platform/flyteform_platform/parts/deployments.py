"""Deployments that bear the loss of a pod, a node and a zone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_kubernetes.apps import v1 as apps
from pulumi_kubernetes.autoscaling import v2 as autoscaling
from pulumi_kubernetes.meta import v1 as meta
from pulumi_kubernetes.policy import v1 as policy
from pulumi_kubernetes.scheduling import v1 as scheduling

from flyteform_platform.parts.labels import labels, selector
from flyteform_platform.parts.pods import template

if TYPE_CHECKING:
    import pulumi
    from flyteform_platform.config.common import Scaling
    from flyteform_platform.parts.pods import Pods


def metadata(name: str, namespace: str, component: str, **more: str) -> meta.ObjectMetaArgs:
    """Return the metadata of an object of a component."""
    return meta.ObjectMetaArgs(name=name, namespace=namespace, labels=labels(component), annotations=more or None)


def deployment(
    name: str, namespace: str, pods: Pods, opts: pulumi.ResourceOptions, *, replicas: int | None = None
) -> apps.Deployment:
    """Make a Deployment; without `replicas` an autoscaler decides how many there are.

    A rollout never has fewer pods than before: a new one is ready before an old one ends.
    """
    return apps.Deployment(
        name,
        metadata=metadata(name, namespace, pods.component),
        spec=apps.DeploymentSpecArgs(
            replicas=replicas,
            revision_history_limit=5,
            progress_deadline_seconds=300,
            selector=meta.LabelSelectorArgs(match_labels=selector(pods.component)),
            strategy=apps.DeploymentStrategyArgs(
                type="RollingUpdate",
                rolling_update=apps.RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0),
            ),
            template=template(pods),
        ),
        opts=opts,
    )


def priority(name: str, component: str, opts: pulumi.ResourceOptions) -> scheduling.PriorityClass:
    """Make the class of pods that tasks' pods make room for, and are never preferred to, on nodes that are full."""
    return scheduling.PriorityClass(
        name,
        metadata=meta.ObjectMetaArgs(name=name, labels=labels(component)),
        value=1_000_000,
        global_default=False,
        description="The platform's own pods, without which no task runs.",
        opts=opts,
    )


def budget(name: str, namespace: str, component: str, opts: pulumi.ResourceOptions) -> policy.PodDisruptionBudget:
    """Let drains of nodes take one pod at a time."""
    return policy.PodDisruptionBudget(
        name,
        metadata=metadata(name, namespace, component),
        spec=policy.PodDisruptionBudgetSpecArgs(
            max_unavailable=1,
            selector=meta.LabelSelectorArgs(match_labels=selector(component)),
            unhealthy_pod_eviction_policy="AlwaysAllow",
        ),
        opts=opts,
    )


def autoscaler(
    name: str, namespace: str, component: str, scaling: Scaling, opts: pulumi.ResourceOptions
) -> autoscaling.HorizontalPodAutoscaler:
    """Scale a Deployment of the same name by its main container's use of CPU: what helps beside it does not count."""
    target = autoscaling.MetricTargetArgs(type="Utilization", average_utilization=scaling.cpu_percent)
    used = autoscaling.ContainerResourceMetricSourceArgs(name="cpu", container=component, target=target)
    return autoscaling.HorizontalPodAutoscaler(
        name,
        metadata=metadata(name, namespace, component),
        spec=autoscaling.HorizontalPodAutoscalerSpecArgs(
            scale_target_ref=autoscaling.CrossVersionObjectReferenceArgs(
                api_version="apps/v1", kind="Deployment", name=name
            ),
            min_replicas=scaling.minimum,
            max_replicas=scaling.maximum,
            metrics=[autoscaling.MetricSpecArgs(type="ContainerResource", container_resource=used)],
        ),
        opts=opts,
    )
