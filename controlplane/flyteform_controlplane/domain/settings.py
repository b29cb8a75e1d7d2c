"""The settings of an execution: its own, then the launch plan's, attributes, the application (contract 1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.admin.execution_pb2 import ExecutionSpec
from flyteidl.admin.matchable_resource_pb2 import WorkflowExecutionConfig
from flyteidl.core.literals_pb2 import KeyValuePair
from flyteidl.core.security_pb2 import Identity, SecurityContext

from flyteform_controlplane.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flyteidl.admin.common_pb2 import AuthRole
    from flyteidl.admin.launch_plan_pb2 import LaunchPlanSpec

    from flyteform_controlplane.domain.config import AdminConfig

# What comes with a precedence of its own: the first level that has it gives it whole.
_MESSAGES = (
    "raw_output_data_config",
    "labels",
    "annotations",
    "interruptible",
    "envs",
)


def resolve_spec(
    spec: ExecutionSpec, launch_plan: LaunchPlanSpec, attributes: Sequence[WorkflowExecutionConfig], config: AdminConfig
) -> ExecutionSpec:
    """Return the spec with every setting decided; `attributes` come most specific first."""
    resolved = ExecutionSpec()
    resolved.CopyFrom(spec)
    resolved.ClearField("inputs")
    levels = [_with_identity(spec), _of_launch_plan(launch_plan), *attributes, application_config(config)]
    for name in _MESSAGES:
        chosen = next((level for level in levels if _is_set(level, name)), None)
        if chosen is not None:
            getattr(resolved, name).CopyFrom(getattr(chosen, name))
    resolved.max_parallelism = next((level.max_parallelism for level in levels if level.max_parallelism), 0)
    resolved.overwrite_cache = any(level.overwrite_cache for level in levels)
    secured = next((level for level in levels if level.security_context.ByteSize()), None)
    if secured is not None:
        resolved.security_context.CopyFrom(secured.security_context)
    _take_unlayered(resolved, launch_plan)
    return resolved


def merge_labels(spec: ExecutionSpec, project_labels: Mapping[str, str]) -> None:
    """Add the project's labels to the execution's, which win."""
    for key, value in project_labels.items():
        if key not in spec.labels.values:
            spec.labels.values[key] = value


def _take_unlayered(resolved: ExecutionSpec, launch_plan: LaunchPlanSpec) -> None:
    """Take from the launch plan what no attribute can set."""
    for name in ("quality_of_service", "cluster_assignment"):
        if not getattr(resolved, name).ByteSize() and launch_plan.HasField(name):
            getattr(resolved, name).CopyFrom(getattr(launch_plan, name))
    if not resolved.execution_env_assignments:
        resolved.execution_env_assignments.extend(launch_plan.execution_env_assignments)


def _is_set(level: WorkflowExecutionConfig, name: str) -> bool:
    # An interruptible that says false is set, an empty map of labels is not.
    return level.HasField(name) and (name == "interruptible" or getattr(level, name).ByteSize() > 0)


def _with_identity(spec: ExecutionSpec) -> WorkflowExecutionConfig:
    level = _common(spec)
    level.security_context.CopyFrom(_security(spec.security_context, spec.auth_role))
    return level


def _of_launch_plan(spec: LaunchPlanSpec) -> WorkflowExecutionConfig:
    level = _common(spec)
    level.security_context.CopyFrom(_security(spec.security_context, spec.auth_role))
    if not level.security_context.ByteSize():
        run_as = Identity(
            iam_role=spec.auth.assumable_iam_role or spec.role,
            k8s_service_account=spec.auth.kubernetes_service_account,
        )
        level.security_context.CopyFrom(_identity(run_as))
    return level


def complete_config(own: WorkflowExecutionConfig, config: AdminConfig) -> WorkflowExecutionConfig:
    """Return a project's settings with the application's for what they leave out (contract 1.6)."""
    default = application_config(config)
    completed = WorkflowExecutionConfig()
    completed.CopyFrom(own)
    completed.max_parallelism = own.max_parallelism or default.max_parallelism
    completed.overwrite_cache = own.overwrite_cache or default.overwrite_cache
    for name in (*_MESSAGES, "security_context"):
        if not _is_set(own, name) and default.HasField(name):
            getattr(completed, name).CopyFrom(getattr(default, name))
    return completed


def choose_pool(spec: ExecutionSpec, domain: str, config: AdminConfig) -> None:
    """Put the execution into its domain's cluster pool; INVALID_ARGUMENT if it asks for another one (contract 1.10)."""
    pool, wanted = config.cluster_pools.get(domain, ""), spec.cluster_assignment.cluster_pool_name
    if pool and wanted and wanted != pool:
        raise InvalidArgumentError(
            f"an execution in domain [{domain}] must run on cluster pool [{pool}], not on [{wanted}]",
            remedy="leave the cluster assignment out",
        )
    if pool:
        spec.cluster_assignment.cluster_pool_name = pool


def application_config(config: AdminConfig) -> WorkflowExecutionConfig:
    """Return the settings that hold where nobody sets any."""
    level = WorkflowExecutionConfig(max_parallelism=config.max_parallelism, overwrite_cache=config.overwrite_cache)
    level.raw_output_data_config.output_location_prefix = config.raw_output_prefix
    if config.interruptible:
        level.interruptible.value = True
    run_as = Identity(iam_role=config.assumable_iam_role, k8s_service_account=config.kubernetes_service_account)
    level.security_context.CopyFrom(_identity(run_as))
    # Only what says something: an empty one that is there would read as set.
    if config.labels:
        level.labels.values.update(config.labels)
    if config.annotations:
        level.annotations.values.update(config.annotations)
    if config.envs:
        level.envs.values.extend(KeyValuePair(key=key, value=value) for key, value in config.envs.items())
    return level


def _common(spec: ExecutionSpec | LaunchPlanSpec) -> WorkflowExecutionConfig:
    level = WorkflowExecutionConfig(max_parallelism=spec.max_parallelism, overwrite_cache=spec.overwrite_cache)
    for name in _MESSAGES:
        if spec.HasField(name):
            getattr(level, name).CopyFrom(getattr(spec, name))
    return level


def _security(context: SecurityContext, role: AuthRole) -> SecurityContext:
    """Return the context; for clients that still send the former auth_role, that as a context."""
    if context.ByteSize():
        return context
    return _identity(Identity(iam_role=role.assumable_iam_role, k8s_service_account=role.kubernetes_service_account))


def _identity(run_as: Identity) -> SecurityContext:
    return SecurityContext(run_as=run_as) if run_as.ByteSize() else SecurityContext()
