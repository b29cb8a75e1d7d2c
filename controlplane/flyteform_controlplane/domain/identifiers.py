"""The identifiers of executions, nodes and attempts, from their records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core.identifier_pb2 import (
    Identifier,
    NodeExecutionIdentifier,
    ResourceType,
    TaskExecutionIdentifier,
    WorkflowExecutionIdentifier,
)

if TYPE_CHECKING:
    from flyteform_controlplane.domain.records import ExecutionRecord, NodeExecutionRecord, TaskExecutionRecord


def execution_id(
    record: ExecutionRecord | NodeExecutionRecord | TaskExecutionRecord,
) -> WorkflowExecutionIdentifier:
    """Return the name of the execution that the record is or belongs to."""
    return WorkflowExecutionIdentifier(
        project=record.execution_project, domain=record.execution_domain, name=record.execution_name
    )


def node_execution_id(record: NodeExecutionRecord | TaskExecutionRecord) -> NodeExecutionIdentifier:
    """Return the identifier of the node's execution that the record is or belongs to."""
    return NodeExecutionIdentifier(node_id=record.node_id, execution_id=execution_id(record))


def task_execution_id(record: TaskExecutionRecord) -> TaskExecutionIdentifier:
    """Return the identifier of an attempt."""
    return TaskExecutionIdentifier(
        task_id=Identifier(
            resource_type=ResourceType.TASK,
            project=record.project,
            domain=record.domain,
            name=record.name,
            version=record.version,
        ),
        node_execution_id=node_execution_id(record),
        retry_attempt=record.retry_attempt,
    )
