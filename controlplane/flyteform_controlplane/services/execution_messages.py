"""Records of executions, nodes and attempts as the messages of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.admin.execution_pb2 import Execution, ExecutionSpec
from flyteidl.admin.node_execution_pb2 import NodeExecution
from flyteidl.admin.task_execution_pb2 import TaskExecution, TaskExecutionClosure

from flyteform_controlplane.domain.identifiers import execution_id, node_execution_id, task_execution_id

if TYPE_CHECKING:
    from flyteform_controlplane.domain.records import ExecutionRecord, NodeExecutionRecord, TaskExecutionRecord

WHOLE = 0


def execution_message(record: ExecutionRecord) -> Execution:
    """Return an execution."""
    spec = ExecutionSpec()
    spec.CopyFrom(record.spec)
    spec.metadata.system_metadata.execution_cluster = record.cluster
    return Execution(id=execution_id(record), spec=spec, closure=record.closure)


def node_message(record: NodeExecutionRecord) -> NodeExecution:
    """Return a node's execution."""
    return NodeExecution(
        id=node_execution_id(record),
        input_uri=record.input_uri,
        closure=record.closure,
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


def _trimmed(closure: TaskExecutionClosure, error_length: int) -> TaskExecutionClosure:
    if not error_length or len(closure.error.message) <= error_length:
        return closure
    copy = TaskExecutionClosure()
    copy.CopyFrom(closure)
    copy.error.message = copy.error.message[:error_length]
    return copy
