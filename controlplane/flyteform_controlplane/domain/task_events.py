"""What an event does to the record of an attempt (contract 1.5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flyteidl.admin.task_execution_pb2 import Reason, TaskExecutionClosure
from flyteidl.core.execution_pb2 import TaskExecution
from flyteidl.event.event_pb2 import ExternalResourceInfo

from flyteform_controlplane.domain.closures import note_end, take_result
from flyteform_controlplane.domain.event_rules import refuse_repeated, refuse_terminal
from flyteform_controlplane.domain.records import TaskExecutionRecord
from flyteform_controlplane.domain.times import to_datetime

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteidl.core.execution_pb2 import TaskLog
    from flyteidl.event.event_pb2 import TaskExecutionEvent, TaskExecutionMetadata
    from google.protobuf.struct_pb2 import Struct

TERMINAL = frozenset({TaskExecution.SUCCEEDED, TaskExecution.FAILED, TaskExecution.ABORTED})
# An attempt that may be retried has ended too, though the contract lets its row go on.
_ENDED = TERMINAL | {TaskExecution.RETRYABLE_FAILED}
_PENDING = frozenset({TaskExecution.QUEUED, TaskExecution.INITIALIZING, TaskExecution.WAITING_FOR_RESOURCES})


def new_task(event: TaskExecutionEvent) -> TaskExecutionRecord:
    """Return the record of an attempt of which this is the first event, before that is applied."""
    node, task = event.parent_node_execution_id, event.task_id
    occurred_at = to_datetime(event.occurred_at)
    return TaskExecutionRecord(
        execution_project=node.execution_id.project,
        execution_domain=node.execution_id.domain,
        execution_name=node.execution_id.name,
        node_id=node.node_id,
        project=task.project,
        domain=task.domain,
        name=task.name,
        version=task.version,
        retry_attempt=event.retry_attempt,
        phase=TaskExecution.Phase.Name(TaskExecution.UNDEFINED),
        closure=TaskExecutionClosure(created_at=event.occurred_at),
        created_at=occurred_at,
        task_execution_created_at=occurred_at,
    )


def apply_task_event(record: TaskExecutionRecord, event: TaskExecutionEvent) -> TaskExecutionRecord:
    """Return the record after the event; a refusal is the error that the contract names."""
    what = f"attempt {record.retry_attempt} of node {record.node_id}"
    current = TaskExecution.Phase.Value(record.phase)
    if current == event.phase and event.phase_version <= record.phase_version and record.phase != "UNDEFINED":
        refuse_repeated(f"{record.phase} (version {record.phase_version})", what)
    if current in TERMINAL:
        refuse_terminal(record.phase, what)
    closure = TaskExecutionClosure()
    closure.CopyFrom(record.closure)
    _take_report(closure, event)
    occurred_at = to_datetime(event.occurred_at)
    started_at, duration = record.started_at, record.duration
    if event.phase == TaskExecution.RUNNING and started_at is None:
        closure.started_at.CopyFrom(event.occurred_at)
        started_at = occurred_at
    if event.phase in _ENDED:
        duration = note_end(closure, event.occurred_at) or duration
    return replace(
        record,
        phase=TaskExecution.Phase.Name(event.phase),
        phase_version=event.phase_version,
        closure=closure,
        input_uri=event.input_uri or record.input_uri,
        started_at=started_at,
        duration=duration,
        updated_at=occurred_at,
        task_execution_updated_at=occurred_at,
    )


def _take_report(closure: TaskExecutionClosure, event: TaskExecutionEvent) -> None:
    closure.phase = event.phase
    closure.updated_at.CopyFrom(event.occurred_at)
    closure.task_type = event.task_type or closure.task_type
    closure.event_version = event.event_version
    _merge_logs(closure, event)
    _add_reasons(closure, event)
    if event.HasField("custom_info"):
        _merge_struct(closure.custom_info, event.custom_info)
    if event.HasField("metadata"):
        _merge_metadata(closure.metadata, event.metadata)
    if event.HasField("log_context"):
        closure.log_context.CopyFrom(event.log_context)
    take_result(closure, event)


def _merge_logs(closure: TaskExecutionClosure, event: TaskExecutionEvent) -> None:
    """Keep one link per place, the newest; show only those that belong to the phase."""
    merged = {(log.uri or log.name): log for log in (*closure.logs, *event.logs)}
    shown = list(_shown(merged.values(), event.phase))
    closure.ClearField("logs")
    closure.logs.extend(shown)


def _shown(logs: Iterable[TaskLog], phase: TaskExecution.Phase) -> Iterable[TaskLog]:
    for log in logs:
        hidden_now = (phase in _PENDING and not log.ShowWhilePending) or (phase in _ENDED and log.HideOnceFinished)
        if not hidden_now:
            yield log


def _add_reasons(closure: TaskExecutionClosure, event: TaskExecutionEvent) -> None:
    reasons = [Reason(occurred_at=one.occurred_at, message=one.reason) for one in event.reasons]
    if event.reason and not reasons:
        reasons = [Reason(occurred_at=event.occurred_at, message=event.reason)]
    for reason in reasons:
        if closure.reason != reason.message:
            closure.reason = reason.message
            closure.reasons.append(reason)


def _merge_struct(known: Struct, reported: Struct) -> None:
    """Merge as JSON merge patch does: objects key by key, anything else is replaced, null removes."""
    for key, value in reported.fields.items():
        kind = value.WhichOneof("kind")
        if kind == "null_value":
            known.fields.pop(key, None)
        elif kind == "struct_value" and known.fields[key].WhichOneof("kind") == "struct_value":
            _merge_struct(known.fields[key].struct_value, value.struct_value)
        else:
            known.fields[key].CopyFrom(value)


def _merge_resource(known: ExternalResourceInfo, reported: ExternalResourceInfo) -> ExternalResourceInfo:
    """Return the newest report; what it leaves out stays as it is known, and logs are merged."""
    merged = ExternalResourceInfo()
    merged.CopyFrom(reported)
    merged.external_id = reported.external_id or known.external_id
    merged.cache_status = reported.cache_status or known.cache_status
    logs = {(log.uri or log.name): log for log in (*known.logs, *reported.logs)}
    merged.ClearField("logs")
    merged.logs.extend(logs.values())
    for name in ("custom_info", "workflow_node_metadata", "log_context"):
        if known.HasField(name) and not reported.HasField(name):
            getattr(merged, name).CopyFrom(getattr(known, name))
    return merged


def _merge_metadata(known: TaskExecutionMetadata, reported: TaskExecutionMetadata) -> None:
    """Merge external resources by index and attempt; the rest is the newest report's."""
    merged = {(one.index, one.retry_attempt): one for one in known.external_resources}
    for one in reported.external_resources:
        key = (one.index, one.retry_attempt)
        merged[key] = _merge_resource(merged[key], one) if key in merged else one
    known.generated_name = reported.generated_name or known.generated_name
    known.plugin_identifier = reported.plugin_identifier or known.plugin_identifier
    known.instance_class = reported.instance_class
    if reported.resource_pool_info:
        known.ClearField("resource_pool_info")
        known.resource_pool_info.extend(reported.resource_pool_info)
    resources = [merged[key] for key in sorted(merged)]
    known.ClearField("external_resources")
    known.external_resources.extend(resources)
