"""The record of a new execution, and what aborting or archiving does to one (contract 1.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flyteidl.admin.execution_pb2 import EXECUTION_ACTIVE, AbortMetadata, ExecutionClosure, ExecutionSpec
from flyteidl.core.execution_pb2 import WorkflowExecution

from flyteform_controlplane.domain.event_rules import refuse_terminal
from flyteform_controlplane.domain.records import ExecutionRecord
from flyteform_controlplane.domain.times import now, to_timestamp
from flyteform_controlplane.domain.workflow_events import is_terminal

if TYPE_CHECKING:
    from flyteidl.admin.common_pb2 import Notification
    from flyteidl.admin.execution_pb2 import ExecutionState
    from flyteidl.admin.launch_plan_pb2 import LaunchPlanSpec
    from flyteidl.core.identifier_pb2 import Identifier, WorkflowExecutionIdentifier

UNDEFINED = WorkflowExecution.Phase.Name(WorkflowExecution.UNDEFINED)


def new_execution(
    name: WorkflowExecutionIdentifier, spec: ExecutionSpec, workflow: Identifier, launch_plan: LaunchPlanSpec
) -> ExecutionRecord:
    """Return the record of an execution that no data plane has reported on yet."""
    created_at = now()
    closure = ExecutionClosure(
        phase=WorkflowExecution.UNDEFINED,
        created_at=to_timestamp(created_at),
        updated_at=to_timestamp(created_at),
        workflow_id=workflow,
        notifications=_notifications(spec, launch_plan),
    )
    closure.state_change_details.state = EXECUTION_ACTIVE
    closure.state_change_details.occurred_at.CopyFrom(closure.created_at)
    closure.state_change_details.principal = spec.metadata.principal
    return ExecutionRecord(
        execution_project=name.project,
        execution_domain=name.domain,
        execution_name=name.name,
        phase=UNDEFINED,
        closure=closure,
        spec=spec,
        execution_created_at=created_at,
        execution_updated_at=created_at,
        created_at=created_at,
        mode=spec.metadata.mode,
        user=spec.metadata.principal,
    )


def waiting(record: ExecutionRecord) -> ExecutionRecord:
    """Return the record of a new execution that has its turn to come: QUEUED, so that people see that it waits."""
    closure = ExecutionClosure()
    closure.CopyFrom(record.closure)
    closure.phase = WorkflowExecution.QUEUED
    return replace(record, phase=WorkflowExecution.Phase.Name(WorkflowExecution.QUEUED), closure=closure)


def refuse_ended(record: ExecutionRecord) -> None:
    """Raise FAILED_PRECONDITION with its detail if the execution has ended."""
    if is_terminal(record):
        refuse_terminal(record.phase, f"execution {record.execution_name}")


def abort(record: ExecutionRecord, cause: str, principal: str, *, held: bool) -> ExecutionRecord:
    """Return the record once its abortion is asked for; FAILED_PRECONDITION if it has ended.

    Nothing has to be stopped for an execution that no data plane has (`held` is false): it is ABORTED at once.
    """
    refuse_ended(record)
    phase = WorkflowExecution.ABORTING if held else WorkflowExecution.ABORTED
    at = now()
    closure = ExecutionClosure()
    closure.CopyFrom(record.closure)
    closure.phase = phase
    closure.updated_at.CopyFrom(to_timestamp(at))
    closure.abort_metadata.CopyFrom(AbortMetadata(cause=cause, principal=principal))
    return replace(
        record,
        phase=WorkflowExecution.Phase.Name(phase),
        closure=closure,
        abort_cause=cause,
        updated_at=at,
        execution_updated_at=at,
    )


def change_state(record: ExecutionRecord, state: ExecutionState, principal: str) -> ExecutionRecord:
    """Return the record archived, or active again."""
    at = now()
    closure = ExecutionClosure()
    closure.CopyFrom(record.closure)
    closure.state_change_details.state = state
    closure.state_change_details.occurred_at.CopyFrom(to_timestamp(at))
    closure.state_change_details.principal = principal
    return replace(record, state=state, closure=closure, updated_at=at)


def _notifications(spec: ExecutionSpec, launch_plan: LaunchPlanSpec) -> list[Notification]:
    match spec.WhichOneof("notification_overrides"):
        case "notifications":
            return list(spec.notifications.notifications)
        case "disable_all" if spec.disable_all:
            return []
        case _:
            return list(launch_plan.entity_metadata.notifications)
