"""Tasks that run as pods: a command in a container, or a pod of the task's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform_dataplane.errors import UserError
from flyteform_dataplane.kubernetes.pods import EXECUTION_LABEL
from flyteform_dataplane.plugins.arguments import expand
from flyteform_dataplane.plugins.container import environment
from flyteform_dataplane.ports import PodRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteidl.core.tasks_pb2 import TaskTemplate

    from flyteform_dataplane.plugins.ports import TaskContext

_TARGETS = ("container", "k8s_pod")
DEFAULT_SERVICE_ACCOUNT = "default"


class PodPlugin:
    """Makes an attempt's request for a pod."""

    @property
    def id(self) -> str:
        """Flyte's name of the plugin."""
        return "container"

    @property
    def task_types(self) -> tuple[str, ...]:
        """Flyte's names of the types."""
        return ("python-task", "container", "raw-container", "sidecar")

    def prepare(self, context: TaskContext) -> PodRequest:
        """Fill in the command, the environment and the labels; `UserError` when the task brings nothing to run."""
        task = context.task
        if task.WhichOneof("target") not in _TARGETS:
            raise UserError(f"task {task.id.name} of type {task.type} has neither a container nor a pod to run")
        command, arguments = _command(task)
        return PodRequest(
            name=context.name,
            task=task,
            command=expand(command, context),
            arguments=expand(arguments, context),
            environment=environment(context),
            labels={**context.labels, **task.metadata.metadata.labels, **_labels(context)},
            annotations={**context.annotations, **task.metadata.metadata.annotations},
            service_account=context.service_account,
            interruptible=context.interruptible,
        )


def _command(task: TaskTemplate) -> tuple[Iterable[str], Iterable[str]]:
    """Return what the task runs: a pod's primary container has it in its own specification."""
    if task.WhichOneof("target") == "container":
        return task.container.command, task.container.args
    primary = task.k8s_pod.primary_container_name or task.config.get("primary_container_name", "")
    for container in task.k8s_pod.pod_spec.fields["containers"].list_value.values:
        fields = container.struct_value.fields
        if fields["name"].string_value == primary:
            texts = [[one.string_value for one in fields[name].list_value.values] for name in ("command", "args")]
            return texts[0], texts[1]
    return (), ()


def _labels(context: TaskContext) -> dict[str, str]:
    execution = context.execution
    return {
        "project": execution.project,
        "domain": execution.domain,
        EXECUTION_LABEL: execution.name,
        "node-id": context.node,
        "task-name": context.task.id.name,
        "workflow-name": context.workflow.name,
        "interruptible": str(context.interruptible).lower(),
    }
