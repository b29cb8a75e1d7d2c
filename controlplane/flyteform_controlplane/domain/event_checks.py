"""What every event must carry, before any record is looked at (contract 1.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core.execution_pb2 import NodeExecution, TaskExecution, WorkflowExecution
from flyteidl.core.identifier_pb2 import ResourceType

from flyteform_controlplane.domain.validation import check_execution, check_identifier, check_node, require
from flyteform_controlplane.errors import InvalidArgumentError, ResourceExhaustedError

if TYPE_CHECKING:
    from flyteidl.event.event_pb2 import NodeExecutionEvent, TaskExecutionEvent, WorkflowExecutionEvent
    from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

    AnyEvent = WorkflowExecutionEvent | NodeExecutionEvent | TaskExecutionEvent


def check_workflow_event(event: WorkflowExecutionEvent, max_inline_bytes: int) -> None:
    """Refuse an incomplete event of an execution."""
    check_execution(event.execution_id)
    _check(event, WorkflowExecution.Phase, max_inline_bytes)


def check_node_event(event: NodeExecutionEvent, max_inline_bytes: int) -> None:
    """Refuse an incomplete event of a node."""
    check_node(event.id)
    _check(event, NodeExecution.Phase, max_inline_bytes)


def check_task_event(event: TaskExecutionEvent, max_inline_bytes: int) -> None:
    """Refuse an incomplete event of an attempt."""
    check_identifier(event.task_id, ResourceType.TASK)
    check_node(event.parent_node_execution_id)
    _check(event, TaskExecution.Phase, max_inline_bytes)


def _check(event: AnyEvent, phases: EnumTypeWrapper, max_inline_bytes: int) -> None:
    if event.phase not in phases.values():
        raise InvalidArgumentError(f"invalid value for phase: {event.phase}")
    require(event.HasField("occurred_at"), "occurred_at")
    size = event.output_data.ByteSize()
    if size > max_inline_bytes:
        raise ResourceExhaustedError(
            f"output_data has {size} bytes, and an event may carry {max_inline_bytes}",
            remedy="write the outputs to the object store and send output_uri",
        )
