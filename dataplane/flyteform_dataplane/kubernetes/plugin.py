"""Tasks that run as pods: a command in a container, or a pod of the task's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core.tasks_pb2 import TaskTemplate

from flyteform_dataplane.errors import UserError
from flyteform_dataplane.kubernetes.names import label_text
from flyteform_dataplane.kubernetes.pods import EXECUTION_LABEL
from flyteform_dataplane.plugins.arguments import expand
from flyteform_dataplane.plugins.container import copying, environment
from flyteform_dataplane.ports import PodRequest

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct

    from flyteform_dataplane.plugins.ports import TaskContext

_TARGETS = ("container", "k8s_pod")


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
        task = _expanded(task, context)
        container, pod = task.container, task.k8s_pod
        of_container = task.WhichOneof("target") == "container"
        return PodRequest(
            name=context.name,
            task=task,
            command=tuple(container.command),
            arguments=tuple(container.args),
            environment=environment(context),
            labels={**context.labels, **task.metadata.metadata.labels, **_labels(context)},
            annotations={**context.annotations, **task.metadata.metadata.annotations},
            service_account=context.service_account,
            interruptible=context.interruptible,
            copying=copying(context, container.data_config if of_container else pod.data_config),
            platform=context.platform,
        )


def _expanded(task: TaskTemplate, context: TaskContext) -> TaskTemplate:
    """Return the task with every template filled in: those of all containers, if it brings a pod."""
    made = TaskTemplate()
    made.CopyFrom(task)
    if made.WhichOneof("target") == "container":
        for texts in (made.container.command, made.container.args):
            texts[:] = expand(texts, context, _quoted)
        return made
    spec = made.k8s_pod.pod_spec.fields
    for field in ("initContainers", "containers"):
        for container in spec[field].list_value.values if field in spec else ():
            _expand_container(container.struct_value, context)
    return made


def _expand_container(container: Struct, context: TaskContext) -> None:
    for name in ("command", "args"):
        if name in container.fields:
            values = container.fields[name].list_value.values
            texts = [value for value in values if value.WhichOneof("kind") == "string_value"]
            for value, text in zip(texts, expand([one.string_value for one in texts], context, _quoted), strict=True):
                value.string_value = text


def _quoted(text: str) -> str:
    """Return a text that a kubelet leaves as it is: by `$(NAME)` a value would tell what a variable of the pod has."""
    return text.replace("$", "$$")


def _labels(context: TaskContext) -> dict[str, str]:
    execution = context.execution
    named = {"node-id": context.node, "task-name": context.task.id.name, "workflow-name": context.workflow.name}
    return {
        "project": execution.project,
        "domain": execution.domain,
        EXECUTION_LABEL: execution.name,
        **{name: label_text(text) for name, text in named.items()},
        "interruptible": str(context.interruptible).lower(),
    }
