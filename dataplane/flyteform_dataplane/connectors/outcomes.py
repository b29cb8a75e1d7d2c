"""What a connector says of a job, left where the engine looks: outputs or an error, as a process leaves them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.admin import agent_pb2 as messages
from flyteidl.core.errors_pb2 import ContainerError, ErrorDocument
from flyteidl.core.execution_pb2 import ExecutionError, TaskExecution

if TYPE_CHECKING:
    from flyteform.objects.ports import ObjectStore

# Of connectors older than the phases.
_STATES = {
    messages.RETRYABLE_FAILURE: TaskExecution.RETRYABLE_FAILED,
    messages.PERMANENT_FAILURE: TaskExecution.FAILED,
    messages.PENDING: TaskExecution.QUEUED,
    messages.RUNNING: TaskExecution.RUNNING,
    messages.SUCCEEDED: TaskExecution.SUCCEEDED,
}
ENDED = frozenset(
    {TaskExecution.SUCCEEDED, TaskExecution.FAILED, TaskExecution.RETRYABLE_FAILED, TaskExecution.ABORTED}
)
# Flyte's name for it.
_CODE = "TaskFailedWithError"


def phase_of(resource: messages.Resource) -> TaskExecution.Phase:
    """Return the phase of the job; that of a connector which knows states alone follows from them."""
    if resource.phase != TaskExecution.UNDEFINED or not resource.state:
        return resource.phase
    return _STATES.get(resource.state, TaskExecution.UNDEFINED)


async def write_end(objects: ObjectStore, prefix: str, resource: messages.Resource) -> int:
    """Write what an ended job has left, and return the exit code that a process would have.

    A job that says nothing of outputs has written them itself, or has none.
    """
    if phase_of(resource) == TaskExecution.SUCCEEDED:
        if resource.HasField("outputs"):
            await objects.put(f"{prefix}/outputs.pb", resource.outputs.SerializeToString())
        return 0
    await write_error(objects, prefix, _error(resource))
    return 1


async def write_error(objects: ObjectStore, prefix: str, error: ContainerError) -> None:
    """Write why the attempt failed."""
    await objects.put(f"{prefix}/error.pb", ErrorDocument(error=error).SerializeToString())


def refusal(message: str, *, recoverable: bool) -> ContainerError:
    """Return the error of a connector that answers no job at all."""
    kind = ContainerError.RECOVERABLE if recoverable else ContainerError.NON_RECOVERABLE
    return ContainerError(code="ConnectorError", message=message, kind=kind, origin=ExecutionError.USER)


def _error(resource: messages.Resource) -> ContainerError:
    """Return why the job failed: as in Flyte it is final, unless the phase or the connector's error says otherwise."""
    phase, said = phase_of(resource), resource.agent_error
    recoverable = phase == TaskExecution.RETRYABLE_FAILED
    if resource.HasField("agent_error"):
        recoverable = said.kind == messages.AgentError.RECOVERABLE
    ended = "the job was aborted" if phase == TaskExecution.ABORTED else "the job failed"
    return ContainerError(
        code=said.code or _CODE,
        message=f"{ended}: {resource.message}" if resource.message else ended,
        kind=ContainerError.RECOVERABLE if recoverable else ContainerError.NON_RECOVERABLE,
        origin=said.origin or ExecutionError.USER,
    )
