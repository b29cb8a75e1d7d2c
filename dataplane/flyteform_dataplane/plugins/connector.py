"""Tasks of any type that a connector runs elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.admin.agent_pb2 import TaskExecutionMetadata
from flyteidl.core.identifier_pb2 import NodeExecutionIdentifier, TaskExecutionIdentifier
from flyteidl.core.tasks_pb2 import TaskTemplate

from flyteform_dataplane.plugins.arguments import expand
from flyteform_dataplane.plugins.container import environment
from flyteform_dataplane.ports import JobSpec

if TYPE_CHECKING:
    from flyteform_dataplane.plugins.ports import TaskContext


class ConnectorPlugin:
    """Hands tasks to connectors."""

    @property
    def id(self) -> str:
        """Flyte's name of it."""
        return "connector-service"

    @property
    def task_types(self) -> tuple[str, ...]:
        """None of its own: connectors say which they run."""
        return ()

    def prepare(self, context: TaskContext) -> JobSpec:
        """Fill in the container's command, if the task has one; `UserError` when it names an unknown input."""
        template = TaskTemplate()
        template.CopyFrom(context.task)
        if template.WhichOneof("target") == "container":
            for texts in (template.container.command, template.container.args):
                texts[:] = expand(texts, context)
        return JobSpec(context.name, template, context.inputs, context.output_prefix, _metadata(context))


def _metadata(context: TaskContext) -> TaskExecutionMetadata:
    execution = context.execution
    node = NodeExecutionIdentifier(node_id=context.node, execution_id=execution)
    return TaskExecutionMetadata(
        task_execution_id=TaskExecutionIdentifier(
            task_id=context.task.id, node_execution_id=node, retry_attempt=context.attempt
        ),
        namespace=f"{execution.project}-{execution.domain}",
        labels=context.labels,
        annotations=context.annotations,
        environment_variables=environment(context),
        max_attempts=context.task.metadata.retries.retries + 1,
        interruptible=context.task.metadata.interruptible,
    )
