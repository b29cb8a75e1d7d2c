"""What an event does to the record of an execution (contract 1.5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flyteidl.admin.execution_pb2 import ExecutionClosure
from flyteidl.core.execution_pb2 import ExecutionError, WorkflowExecution

from flyteform_controlplane.domain.closures import note_end
from flyteform_controlplane.domain.enums import name_of
from flyteform_controlplane.domain.event_rules import check_cluster, is_anonymous, refuse_repeated, refuse_terminal
from flyteform_controlplane.domain.times import to_datetime
from flyteform_controlplane.errors import FailedPreconditionError

if TYPE_CHECKING:
    from flyteidl.event.event_pb2 import WorkflowExecutionEvent

    from flyteform_controlplane.domain.records import ExecutionRecord

_QUEUED, _RUNNING = WorkflowExecution.QUEUED, WorkflowExecution.RUNNING
TERMINAL = frozenset(
    {
        WorkflowExecution.SUCCEEDED,
        WorkflowExecution.FAILED,
        WorkflowExecution.ABORTED,
        WorkflowExecution.TIMED_OUT,
    }
)


def is_terminal(record: ExecutionRecord) -> bool:
    """Say whether the execution has ended."""
    return WorkflowExecution.Phase.Value(record.phase) in TERMINAL


def apply_workflow_event(record: ExecutionRecord, event: WorkflowExecutionEvent) -> ExecutionRecord:
    """Return the record after the event; a refusal is the error that the contract names."""
    _check_transition(record, event)
    closure = ExecutionClosure()
    closure.CopyFrom(record.closure)
    closure.phase = event.phase
    closure.updated_at.CopyFrom(event.occurred_at)
    occurred_at = to_datetime(event.occurred_at)
    changed = replace(
        record,
        phase=WorkflowExecution.Phase.Name(event.phase),
        closure=closure,
        updated_at=occurred_at,
        execution_updated_at=occurred_at,
        cluster=record.cluster if is_anonymous(event.producer_id) else event.producer_id,
    )
    if event.phase == _RUNNING and record.started_at is None:
        closure.started_at.CopyFrom(event.occurred_at)
        changed = replace(changed, started_at=occurred_at)
    return _with_result(changed, event) if event.phase in TERMINAL else changed


def _with_result(record: ExecutionRecord, event: WorkflowExecutionEvent) -> ExecutionRecord:
    closure = record.closure
    duration = note_end(closure, event.occurred_at)
    match event.WhichOneof("output_result"):
        case "output_uri":
            closure.outputs.uri = event.output_uri
        case "output_data":
            closure.output_data.CopyFrom(event.output_data)
        # Who aborted the execution, and why, says more than that it was aborted.
        case "error" if closure.WhichOneof("output_result") != "abort_metadata":
            closure.error.CopyFrom(event.error)
            kind = name_of(ExecutionError.ErrorKind, event.error.kind)
            return replace(record, duration=duration, error_kind=kind, error_code=event.error.code)
    return replace(record, duration=duration)


def _check_transition(record: ExecutionRecord, event: WorkflowExecutionEvent) -> None:
    current = WorkflowExecution.Phase.Value(record.phase)
    # A queued event may be sent again, to announce another cluster.
    if event.phase != _QUEUED:
        if event.phase == current:
            refuse_repeated(record.phase, f"execution {record.execution_name}")
        check_cluster(record, event.producer_id)
    if current in TERMINAL:
        refuse_terminal(record.phase, f"execution {record.execution_name}")
    to_phase = WorkflowExecution.Phase.Name(event.phase)
    if current == _RUNNING and event.phase == _QUEUED:
        raise FailedPreconditionError(f"cannot go from {record.phase} to {to_phase} for {record.execution_name}")
    if current == WorkflowExecution.ABORTING and event.phase not in TERMINAL:
        raise FailedPreconditionError(f"invalid phase change from ABORTING to {to_phase} for {record.execution_name}")
