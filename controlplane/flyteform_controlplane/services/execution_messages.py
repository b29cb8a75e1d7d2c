"""Records of executions, nodes and attempts as the messages of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.admin.execution_pb2 import Execution, ExecutionClosure, ExecutionSpec
from flyteidl.admin.node_execution_pb2 import NodeExecution
from flyteidl.admin.task_execution_pb2 import TaskExecution
from flyteidl.core.identifier_pb2 import (
    Identifier,
    NodeExecutionIdentifier,
    ResourceType,
    TaskExecutionIdentifier,
    WorkflowExecutionIdentifier,
)

if TYPE_CHECKING:
    from typing import TypeVar

    from flyteidl.admin.node_execution_pb2 import NodeExecutionClosure
    from flyteidl.admin.task_execution_pb2 import TaskExecutionClosure

    from flyteform_controlplane.domain.records import ExecutionRecord, NodeExecutionRecord, TaskExecutionRecord

    Closure = TypeVar("Closure", ExecutionClosure, NodeExecutionClosure, TaskExecutionClosure)

WHOLE = 0


def execution_name(
    record: ExecutionRecord | NodeExecutionRecord | TaskExecutionRecord,
) -> WorkflowExecutionIdentifier:
    """Return the name of the execution that the record is or belongs to."""
    return WorkflowExecutionIdentifier(
        project=record.execution_project, domain=record.execution_domain, name=record.execution_name
    )


def execution_message(record: ExecutionRecord, error_length: int = WHOLE) -> Execution:
    """Return an execution; a positive `error_length` cuts its error message to so many characters."""
    spec = ExecutionSpec()
    spec.CopyFrom(record.spec)
    spec.metadata.system_metadata.execution_cluster = record.cluster
    closure = _trimmed(record.closure, error_length)
    return Execution(id=execution_name(record), spec=spec, closure=closure)


def node_message(record: NodeExecutionRecord, error_length: int = WHOLE) -> NodeExecution:
    """Return a node's execution; a positive `error_length` cuts its error message to so many characters."""
    return NodeExecution(
        id=NodeExecutionIdentifier(node_id=record.node_id, execution_id=execution_name(record)),
        input_uri=record.input_uri,
        closure=_trimmed(record.closure, error_length),
        metadata=record.node_execution_metadata,
    )


def task_message(record: TaskExecutionRecord, error_length: int = WHOLE, *, is_parent: bool = False) -> TaskExecution:
    """Return an attempt; a positive `error_length` cuts its error message to so many characters."""
    return TaskExecution(
        id=task_identifier(record),
        input_uri=record.input_uri,
        closure=_trimmed(record.closure, error_length),
        is_parent=is_parent,
    )


def task_identifier(record: TaskExecutionRecord) -> TaskExecutionIdentifier:
    """Return the identifier of an attempt."""
    return TaskExecutionIdentifier(
        task_id=Identifier(
            resource_type=ResourceType.TASK,
            project=record.project,
            domain=record.domain,
            name=record.name,
            version=record.version,
        ),
        node_execution_id=NodeExecutionIdentifier(node_id=record.node_id, execution_id=execution_name(record)),
        retry_attempt=record.retry_attempt,
    )


def _trimmed(closure: Closure, error_length: int) -> Closure:
    if not error_length or len(closure.error.message) <= error_length:
        return closure
    copy = type(closure)()
    copy.CopyFrom(closure)
    copy.error.message = copy.error.message[:error_length]
    return copy
