"""Tasks that are a command in a container: our SDK's, flytekit's and plain ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform_dataplane.errors import UserError
from flyteform_dataplane.plugins.arguments import expand
from flyteform_dataplane.plugins.resources import limits_of
from flyteform_dataplane.plugins.secrets import given_secrets
from flyteform_dataplane.ports import AttemptSpec, Copying

if TYPE_CHECKING:
    from flyteidl.core.tasks_pb2 import DataLoadingConfig

    from flyteform_dataplane.plugins.ports import TaskContext

_ARRAY_INDEX = "FLYTE_K8S_ARRAY_INDEX"


class ContainerPlugin:
    """Runs a task's container command."""

    @property
    def id(self) -> str:
        """Flyte's name of the plugin."""
        return "container"

    @property
    def task_types(self) -> tuple[str, ...]:
        """Flyte's names of the types."""
        return ("python-task", "container", "raw-container")

    def prepare(self, context: TaskContext) -> AttemptSpec:
        """Fill in the command and the environment; `UserError` when the task has no container or a wrong setting."""
        task = context.task
        if task.WhichOneof("target") == "k8s_pod":
            raise UserError(
                f"task {task.id.name} brings a pod, which this platform has no cluster for",
                remedy="run it on a cluster, or leave out its pod template",
            )
        if task.WhichOneof("target") != "container":
            raise UserError(f"task {task.id.name} of type {task.type} has no container to run")
        container = task.container
        execution = context.execution
        return AttemptSpec(
            name=context.name,
            image=container.image,
            command=expand((*container.command, *container.args), context),
            environment={**given_secrets(task), **environment(context)},
            requests=limits_of(container.resources.requests),
            limits=limits_of(container.resources.limits),
            task=f"{execution.project}/{execution.domain}/{execution.name}/{task.id.name}",
            copying=copying(context, container.data_config),
        )


def copying(context: TaskContext, config: DataLoadingConfig) -> Copying | None:
    """Say what is copied, if anything; the inputs of an item of a map are a file of its own."""
    if not config.enabled:
        return None
    return Copying(
        config,
        context.task.interface.outputs,
        context.inputs_uri if context.index is None else f"{context.output_prefix}/inputs.pb",
        context.output_prefix,
        context.raw_output_prefix,
    )


def environment(context: TaskContext) -> dict[str, str]:
    """Return the variables that every task container gets: the task's, the execution's, then Flyte's own.

    Flyte's `_F_L_*` are left out: they tell entry points to offload large literals, which is off by default.
    """
    execution, task, workflow = context.execution, context.task.id, context.workflow
    variables = {
        **{pair.key: pair.value for pair in context.task.container.env},
        **context.environment,
        "FLYTE_INTERNAL_EXECUTION_ID": execution.name,
        "FLYTE_INTERNAL_EXECUTION_PROJECT": execution.project,
        "FLYTE_INTERNAL_EXECUTION_DOMAIN": execution.domain,
        "FLYTE_INTERNAL_EXECUTION_WORKFLOW": f"{workflow.project}:{workflow.domain}:{workflow.name}",
        "FLYTE_INTERNAL_TASK_PROJECT": task.project,
        "FLYTE_INTERNAL_TASK_DOMAIN": task.domain,
        "FLYTE_INTERNAL_TASK_NAME": task.name,
        "FLYTE_INTERNAL_TASK_VERSION": task.version,
        # The older names of the same, which flytekit's registration settings read.
        "FLYTE_INTERNAL_PROJECT": task.project,
        "FLYTE_INTERNAL_DOMAIN": task.domain,
        "FLYTE_INTERNAL_NAME": task.name,
        "FLYTE_INTERNAL_VERSION": task.version,
        "FLYTE_ATTEMPT_NUMBER": str(context.attempt),
    }
    if context.console_url:
        variables["FLYTE_EXECUTION_URL"] = context.console_url
    if context.index is not None:
        variables["BATCH_JOB_ARRAY_INDEX_VAR_NAME"] = _ARRAY_INDEX
        variables[_ARRAY_INDEX] = str(context.index)
    return variables
