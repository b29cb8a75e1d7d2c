"""Declared settings as FlyteIDL's messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from flyteidl.admin import common_pb2, launch_plan_pb2, matchable_resource_pb2
from flyteidl.core import execution_pb2, literals_pb2, security_pb2
from google.protobuf import wrappers_pb2

from flyteform.proto.flyteform.v1 import policies_pb2
from flyteform.provision.resources import (
    ClusterAssignment,
    ClusterResources,
    Concurrency,
    Email,
    ExecutionClusterLabel,
    ExecutionQueues,
    ExecutionSettings,
    Notification,
    PagerDuty,
    PluginOverrides,
    QualityOfService,
    SettingsValue,
    TaskResources,
)

if TYPE_CHECKING:
    from flyteform.authoring import Resources
    from flyteform.provision.resources import LaunchPlan

Attributes = matchable_resource_pb2.MatchingAttributes
_SKIP = "SKIP"


def attributes_of(value: SettingsValue) -> matchable_resource_pb2.MatchingAttributes:  # noqa: PLR0911 - one per kind
    """Return the message that sets a value."""
    match value:
        case TaskResources():
            resources = matchable_resource_pb2.TaskResourceAttributes(
                defaults=_amounts(value.defaults), limits=_amounts(value.limits)
            )
            return Attributes(task_resource_attributes=resources)
        case ClusterResources():
            return Attributes(
                cluster_resource_attributes=matchable_resource_pb2.ClusterResourceAttributes(attributes=value.values)
            )
        case ExecutionQueues():
            return Attributes(
                execution_queue_attributes=matchable_resource_pb2.ExecutionQueueAttributes(tags=value.tags)
            )
        case ExecutionClusterLabel():
            return Attributes(execution_cluster_label=matchable_resource_pb2.ExecutionClusterLabel(value=value.label))
        case QualityOfService():
            return Attributes(quality_of_service=_quality(value))
        case PluginOverrides():
            return Attributes(plugin_overrides=_overrides(value))
        case ExecutionSettings():
            return Attributes(workflow_execution_config=_execution_config(value))
        case ClusterAssignment():
            attributes = Attributes()
            attributes.cluster_assignment.cluster_pool_name = value.pool
            return attributes
        case _:
            assert_never(value)


def _amounts(resources: Resources | None) -> matchable_resource_pb2.TaskResourceSpec | None:
    if resources is None:
        return None
    return matchable_resource_pb2.TaskResourceSpec(
        cpu=_text(resources.cpu),
        gpu=_text(resources.gpu),
        memory=_text(resources.mem),
        ephemeral_storage=_text(resources.ephemeral_storage),
    )


def _text(amount: object) -> str:
    return "" if amount is None else str(amount)


def _quality(value: QualityOfService) -> execution_pb2.QualityOfService:
    if value.tier is not None:
        return execution_pb2.QualityOfService(tier=value.tier)
    message = execution_pb2.QualityOfService()
    if value.queueing_budget is not None:
        message.spec.queueing_budget.FromTimedelta(value.queueing_budget)
    return message


def _overrides(value: PluginOverrides) -> matchable_resource_pb2.PluginOverrides:
    override = matchable_resource_pb2.PluginOverride
    return matchable_resource_pb2.PluginOverrides(
        overrides=[
            override(
                task_type=task_type,
                plugin_id=one.plugins,
                missing_plugin_behavior=one.missing,
            )
            for task_type, one in sorted(value.by_task_type.items())
        ]
    )


def _execution_config(value: ExecutionSettings) -> matchable_resource_pb2.WorkflowExecutionConfig:
    config = matchable_resource_pb2.WorkflowExecutionConfig(
        max_parallelism=value.max_parallelism or 0, overwrite_cache=value.overwrite_cache
    )
    _set_execution(config, value)
    return config


def _set_execution(
    message: matchable_resource_pb2.WorkflowExecutionConfig | launch_plan_pb2.LaunchPlanSpec,
    value: ExecutionSettings | LaunchPlan,
) -> None:
    """Set what settings and launch plans say about executions with the same fields."""
    if value.labels:
        message.labels.values.update(value.labels)
    if value.annotations:
        message.annotations.values.update(value.annotations)
    if value.environment:
        pairs = sorted(value.environment.items())
        message.envs.values.extend(literals_pb2.KeyValuePair(key=key, value=text) for key, text in pairs)
    if value.raw_output_prefix:
        message.raw_output_data_config.output_location_prefix = value.raw_output_prefix
    if value.service_account or value.iam_role:
        identity = security_pb2.Identity(k8s_service_account=value.service_account or "", iam_role=value.iam_role or "")
        message.security_context.run_as.CopyFrom(identity)
    if value.interruptible is not None:
        message.interruptible.CopyFrom(wrappers_pb2.BoolValue(value=value.interruptible))


def complete_launch_plan(spec: launch_plan_pb2.LaunchPlanSpec, resource: LaunchPlan) -> None:
    """Add what a resource says beyond its definition; a policy that Flyte lacks is no part of a spec."""
    _set_execution(spec, resource)
    spec.max_parallelism = resource.max_parallelism or spec.max_parallelism
    spec.overwrite_cache = resource.overwrite_cache or spec.overwrite_cache
    if resource.notifications:
        del spec.entity_metadata.notifications[:]
        spec.entity_metadata.notifications.extend(_notification(each) for each in resource.notifications)
    if resource.quality_of_service is not None:
        spec.quality_of_service.CopyFrom(_quality(resource.quality_of_service))
    if resource.cluster_pool:
        spec.cluster_assignment.cluster_pool_name = resource.cluster_pool
    if resource.concurrency is not None and resource.concurrency.behavior == _SKIP:
        spec.concurrency_policy.max = resource.concurrency.max
        spec.concurrency_policy.behavior = launch_plan_pb2.CONCURRENCY_LIMIT_BEHAVIOR_SKIP


def execution_of(resource: LaunchPlan) -> tuple[bytes, tuple[Concurrency | None, int | None]]:
    """Return what a resource says beyond its definition, to compare two of them by."""
    spec = launch_plan_pb2.LaunchPlanSpec()
    complete_launch_plan(spec, resource)
    return spec.SerializeToString(deterministic=True), (resource.concurrency, resource.catch_up)


def _notification(value: Notification) -> common_pb2.Notification:
    message = common_pb2.Notification(phases=value.phases)
    part = (
        message.email
        if isinstance(value, Email)
        else message.pager_duty
        if isinstance(value, PagerDuty)
        else message.slack
    )
    part.recipients_email.extend(value.recipients)
    return message


def policy_of(resource: LaunchPlan) -> policies_pb2.LaunchPlanPolicy | None:
    """Return the policy that has to be kept beside a launch plan, None if its spec says all."""
    policy = policies_pb2.LaunchPlanPolicy()
    concurrency = resource.concurrency
    if concurrency is not None and concurrency.behavior != _SKIP:
        policy.concurrency.max = concurrency.max
        name = f"CONCURRENCY_BEHAVIOR_{concurrency.behavior}"
        policy.concurrency.behavior = policies_pb2.ConcurrencyBehavior.Value(name)
    if resource.catch_up is not None:
        policy.catch_up.SetInParent()
        policy.catch_up.max = resource.catch_up
    return policy if policy.ByteSize() else None
