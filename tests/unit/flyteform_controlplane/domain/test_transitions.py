"""The state machines of executions, nodes and attempts, as tables over all pairs of phases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from flyteidl.admin.event_pb2 import EventFailureReason
from flyteidl.admin.execution_pb2 import ExecutionSpec
from flyteidl.admin.launch_plan_pb2 import LaunchPlanSpec
from flyteidl.core.execution_pb2 import NodeExecution, TaskExecution, TaskLog, WorkflowExecution
from flyteidl.core.identifier_pb2 import Identifier, WorkflowExecutionIdentifier
from flyteidl.event.event_pb2 import (
    ExternalResourceInfo,
    NodeExecutionEvent,
    TaskExecutionEvent,
    WorkflowExecutionEvent,
)

from flyteform_controlplane.domain.executions import new_execution
from flyteform_controlplane.domain.node_events import apply_node_event, new_node
from flyteform_controlplane.domain.task_events import apply_task_event, new_task
from flyteform_controlplane.domain.times import to_timestamp
from flyteform_controlplane.domain.workflow_events import apply_workflow_event
from flyteform_controlplane.errors import ControlPlaneError, EntityExistsError, FailedPreconditionError

if TYPE_CHECKING:
    from flyteform_controlplane.domain.records import ExecutionRecord

AT = to_timestamp(datetime(2026, 1, 1, tzinfo=UTC))
LATER = to_timestamp(datetime(2026, 1, 1, 0, 0, 2, 500_000, tzinfo=UTC))
APPLIED, REPEATED, REFUSED = None, EntityExistsError, FailedPreconditionError
W, N, T = WorkflowExecution, NodeExecution, TaskExecution


def execution(phase: WorkflowExecution.Phase = W.UNDEFINED) -> ExecutionRecord:
    """Make a record in a phase."""
    name = WorkflowExecutionIdentifier(project="p", domain="d", name="e")
    record = new_execution(name, ExecutionSpec(), Identifier(), LaunchPlanSpec())
    return replace(record, phase=W.Phase.Name(phase))


def expected_of_workflow(current: WorkflowExecution.Phase, event: WorkflowExecution.Phase) -> object:
    """Say what the contract's section 1.5 says."""
    terminal = {W.SUCCEEDED, W.FAILED, W.ABORTED, W.TIMED_OUT}
    if event == current and event != W.QUEUED:
        return REPEATED
    if current in terminal:
        return REFUSED
    if current == W.RUNNING and event == W.QUEUED:
        return REFUSED
    if current == W.ABORTING and event not in terminal:
        return REFUSED
    return APPLIED


@pytest.mark.parametrize("current", W.Phase.values())
@pytest.mark.parametrize("phase", W.Phase.values())
def test_execution_moves_as_the_contract_says(current: WorkflowExecution.Phase, phase: WorkflowExecution.Phase) -> None:
    """For every pair of phases the event is applied, known already, or refused."""
    record = execution(current)
    event = WorkflowExecutionEvent(phase=phase, occurred_at=AT)
    match expected_of_workflow(current, phase):
        case None:
            assert apply_workflow_event(record, event).phase == W.Phase.Name(phase)
        case refusal:
            with pytest.raises(refusal):  # type: ignore[call-overload]
                apply_workflow_event(record, event)


@pytest.mark.parametrize("current", N.Phase.values())
@pytest.mark.parametrize("phase", N.Phase.values())
def test_node_moves_as_the_contract_says(current: NodeExecution.Phase, phase: NodeExecution.Phase) -> None:
    """A node repeats no phase and leaves no terminal one."""
    event = NodeExecutionEvent(phase=phase, occurred_at=AT)
    record = replace(new_node(event), phase=N.Phase.Name(current))
    terminal = {N.SUCCEEDED, N.FAILED, N.ABORTED, N.SKIPPED, N.TIMED_OUT, N.RECOVERED}
    outcome = outcome_of(lambda: apply_node_event(record, event))
    assert outcome is (REPEATED if current == phase else REFUSED if current in terminal else APPLIED)


@pytest.mark.parametrize("current", [phase for phase in T.Phase.values() if phase != T.UNDEFINED])
@pytest.mark.parametrize("phase", [phase for phase in T.Phase.values() if phase != T.UNDEFINED])
@pytest.mark.parametrize("version", [0, 1, 2])
def test_attempt_moves_as_the_contract_says(
    current: TaskExecution.Phase, phase: TaskExecution.Phase, version: int
) -> None:
    """An attempt repeats a phase only with a higher version, and leaves no terminal phase but a retryable one."""
    event = TaskExecutionEvent(phase=phase, phase_version=version, occurred_at=AT)
    record = replace(new_task(event), phase=T.Phase.Name(current), phase_version=1)
    terminal = {T.SUCCEEDED, T.FAILED, T.ABORTED}
    repeated = current == phase and version <= 1
    outcome = outcome_of(lambda: apply_task_event(record, event))
    assert outcome is (REPEATED if repeated else REFUSED if current in terminal else APPLIED)


def outcome_of(call: object) -> type[ControlPlaneError] | None:
    """Return the kind of refusal, None when there is none."""
    try:
        call()  # type: ignore[operator]
    except ControlPlaneError as refusal:
        return type(refusal)
    return None


def test_refusal_after_the_end_names_the_phase_in_a_detail() -> None:
    """Data planes read the terminal phase from EventFailureReason."""
    reason = EventFailureReason()
    reason.already_in_terminal_state.current_phase = "FAILED"
    with pytest.raises(FailedPreconditionError) as refusal:
        apply_workflow_event(execution(W.FAILED), WorkflowExecutionEvent(phase=W.RUNNING, occurred_at=AT))
    assert refusal.value.details == (reason,)


def test_duration_is_the_time_from_first_running_to_the_end() -> None:
    """Start, end and the nanoseconds between them are in columns and closure; the former record is as it was."""
    fresh = execution()
    running = apply_workflow_event(fresh, WorkflowExecutionEvent(phase=W.RUNNING, occurred_at=AT))
    ended = apply_workflow_event(running, WorkflowExecutionEvent(phase=W.SUCCEEDED, occurred_at=LATER))
    assert ended.duration == 2_500_000_000
    assert ended.closure.duration.ToTimedelta().total_seconds() == 2.5
    assert ended.closure.started_at == AT
    assert fresh.closure.phase == W.UNDEFINED
    assert running.closure.phase == W.RUNNING


def test_error_of_an_event_is_kept_unless_the_execution_was_aborted() -> None:
    """Kind and code go to columns; the cause of an abortion is not overwritten by its consequence."""
    failed = WorkflowExecutionEvent(phase=W.FAILED, occurred_at=AT)
    failed.error.code, failed.error.kind, failed.error.message = "Bad", 1, "why"
    record = apply_workflow_event(execution(W.RUNNING), failed)
    assert (record.error_code, record.error_kind, record.closure.error.message) == ("Bad", "USER", "why")
    aborting = execution(W.ABORTING)
    aborting.closure.abort_metadata.cause = "enough"
    failed.phase = W.ABORTED
    assert apply_workflow_event(aborting, failed).closure.abort_metadata.cause == "enough"


def test_clocks_that_disagree_make_no_negative_duration() -> None:
    """An end before the start counts as no time."""
    running = apply_workflow_event(execution(), WorkflowExecutionEvent(phase=W.RUNNING, occurred_at=LATER))
    ended = apply_workflow_event(running, WorkflowExecutionEvent(phase=W.FAILED, occurred_at=AT))
    assert ended.duration == 0


def test_node_stays_what_it_once_was_found_to_be() -> None:
    """Parent, dynamic and array flags, spec id and retry group survive events that leave them out."""
    first = NodeExecutionEvent(phase=N.RUNNING, occurred_at=AT, is_parent=True, spec_node_id="s", retry_group="1")
    record = apply_node_event(new_node(first), first)
    record = apply_node_event(record, NodeExecutionEvent(phase=N.DYNAMIC_RUNNING, occurred_at=AT, is_dynamic=True))
    metadata = record.node_execution_metadata
    assert (metadata.is_parent_node, metadata.is_dynamic, metadata.is_array) == (True, True, False)
    assert (metadata.spec_node_id, metadata.retry_group) == ("s", "1")


def report(**fields: object) -> TaskExecutionEvent:
    """Make an event of a running attempt."""
    values = {"phase": T.RUNNING, "occurred_at": AT} | fields
    return TaskExecutionEvent(**values)  # type: ignore[arg-type]


def test_logs_are_merged_by_place_and_shown_by_phase() -> None:
    """The newest of a place wins; some are shown while pending only when marked, and hidden at the end when marked."""
    pending = TaskLog(uri="p", name="pending", ShowWhilePending=True)
    plain, gone = TaskLog(uri="l", name="plain"), TaskLog(uri="g", name="gone", HideOnceFinished=True)
    first = report(phase=T.QUEUED, logs=[pending, plain])
    record = apply_task_event(new_task(first), first)
    assert [log.name for log in record.closure.logs] == ["pending"]
    renamed = TaskLog(uri="l", name="renamed")
    record = apply_task_event(record, report(logs=[plain, gone]))
    record = apply_task_event(record, report(logs=[renamed], phase_version=1))
    assert [log.name for log in record.closure.logs] == ["pending", "renamed", "gone"]
    record = apply_task_event(record, report(phase=T.SUCCEEDED))
    assert [log.name for log in record.closure.logs] == ["pending", "renamed"]


def test_reasons_are_appended_once_each() -> None:
    """The latest reason stands alone and at the end of all; the same again is not repeated."""
    record = new_task(report())
    for version, reason in enumerate(("a", "a", "b")):
        record = apply_task_event(record, report(reason=reason, phase_version=version))
    assert record.closure.reason == "b"
    assert [one.message for one in record.closure.reasons] == ["a", "b"]


def test_custom_info_is_merged_as_json_merge_patch_does() -> None:
    """Objects merge, null removes, everything else replaces."""
    record = new_task(report())
    for version, info in enumerate(({"a": {"x": 1}, "b": 1, "c": [1]}, {"a": {"y": 2}, "b": None, "c": [2]})):
        event = report(phase_version=version)
        event.custom_info.update(info)
        record = apply_task_event(record, event)
    assert dict(record.closure.custom_info["a"]) == {"x": 1, "y": 2}
    assert set(record.closure.custom_info) == {"a", "c"}
    assert list(record.closure.custom_info["c"]) == [2]


def test_external_resources_are_merged_by_index_and_attempt() -> None:
    """A map task's items are kept once per index and attempt, in their order, with their newest phase."""
    record = new_task(report())
    for version, (index, attempt, phase) in enumerate(
        [(1, 0, T.RUNNING), (0, 0, T.RUNNING), (1, 0, T.RETRYABLE_FAILED), (1, 1, T.SUCCEEDED)]
    ):
        event = report(phase_version=version)
        event.metadata.external_resources.append(
            ExternalResourceInfo(index=index, retry_attempt=attempt, phase=phase)  # type: ignore[arg-type]
        )
        record = apply_task_event(record, event)
    found = [(one.index, one.retry_attempt, one.phase) for one in record.closure.metadata.external_resources]
    assert found == [(0, 0, T.RUNNING), (1, 0, T.RETRYABLE_FAILED), (1, 1, T.SUCCEEDED)]
