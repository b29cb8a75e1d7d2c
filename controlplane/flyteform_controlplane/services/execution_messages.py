"""Records of executions, nodes and attempts as the messages of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.admin.execution_pb2 import Execution, ExecutionClosure, ExecutionSpec
from flyteidl.admin.node_execution_pb2 import NodeExecution
from flyteidl.admin.task_execution_pb2 import TaskExecution

from flyteform_controlplane.domain.identifiers import execution_id, node_execution_id, task_execution_id

if TYPE_CHECKING:
    from typing import TypeVar

    from flyteidl.admin.node_execution_pb2 import NodeExecutionClosure
    from flyteidl.admin.task_execution_pb2 import TaskExecutionClosure

    from flyteform_controlplane.domain.records import ExecutionRecord, NodeExecutionRecord, TaskExecutionRecord

    Closure = TypeVar("Closure", ExecutionClosure, NodeExecutionClosure, TaskExecutionClosure)

WHOLE = 0


def execution_message(record: ExecutionRecord, error_length: int = WHOLE) -> Execution:
    """Return an execution; a positive `error_length` cuts its error message to so many characters."""
    spec = ExecutionSpec()
    spec.CopyFrom(record.spec)
    spec.metadata.system_metadata.execution_cluster = record.cluster
    closure = _trimmed(record.closure, error_length)
    return Execution(id=execution_id(record), spec=spec, closure=closure)


def node_message(record: NodeExecutionRecord, error_length: int = WHOLE) -> NodeExecution:
    """Return a node's execution; a positive `error_length` cuts its error message to so many characters."""
    return NodeExecution(
        id=node_execution_id(record),
        input_uri=record.input_uri,
        closure=_trimmed(record.closure, error_length),
        metadata=record.node_execution_metadata,
    )


def task_message(record: TaskExecutionRecord, error_length: int = WHOLE, *, is_parent: bool = False) -> TaskExecution:
    """Return an attempt; a positive `error_length` cuts its error message to so many characters."""
    return TaskExecution(
        id=task_execution_id(record),
        input_uri=record.input_uri,
        closure=_trimmed(record.closure, error_length),
        is_parent=is_parent,
    )


def _trimmed(closure: Closure, error_length: int) -> Closure:
    if not error_length or len(closure.error.message) <= error_length:
        return closure
    copy = type(closure)()
    copy.CopyFrom(closure)
    copy.error.message = copy.error.message[:error_length]
    return copy
