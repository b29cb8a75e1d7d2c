"""What an event does to the record of a node's execution (contract 1.5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flyteidl.admin.node_execution_pb2 import NodeExecutionClosure, NodeExecutionMetaData
from flyteidl.core.catalog_pb2 import CatalogCacheStatus
from flyteidl.core.execution_pb2 import ExecutionError, NodeExecution

from flyteform_controlplane.domain.closures import note_end, take_result
from flyteform_controlplane.domain.enums import name_of
from flyteform_controlplane.domain.event_rules import refuse_repeated, refuse_terminal
from flyteform_controlplane.domain.records import NodeExecutionRecord
from flyteform_controlplane.domain.times import to_datetime

if TYPE_CHECKING:
    from flyteidl.event.event_pb2 import NodeExecutionEvent

TERMINAL = frozenset(
    {
        NodeExecution.SUCCEEDED,
        NodeExecution.FAILED,
        NodeExecution.ABORTED,
        NodeExecution.SKIPPED,
        NodeExecution.TIMED_OUT,
        NodeExecution.RECOVERED,
    }
)


def new_node(event: NodeExecutionEvent) -> NodeExecutionRecord:
    """Return the record of a node of which this is the first event, before that is applied."""
    execution = event.id.execution_id
    occurred_at = to_datetime(event.occurred_at)
    return NodeExecutionRecord(
        execution_project=execution.project,
        execution_domain=execution.domain,
        execution_name=execution.name,
        node_id=event.id.node_id,
        phase=NodeExecution.Phase.Name(NodeExecution.UNDEFINED),
        closure=NodeExecutionClosure(created_at=event.occurred_at),
        node_execution_metadata=NodeExecutionMetaData(),
        created_at=occurred_at,
        node_execution_created_at=occurred_at,
    )


def apply_node_event(record: NodeExecutionRecord, event: NodeExecutionEvent) -> NodeExecutionRecord:
    """Return the record after the event; a refusal is the error that the contract names."""
    if record.phase == NodeExecution.Phase.Name(event.phase):
        refuse_repeated(record.phase, f"node {record.node_id}")
    if NodeExecution.Phase.Value(record.phase) in TERMINAL:
        refuse_terminal(record.phase, f"node {record.node_id}")
    closure = NodeExecutionClosure()
    closure.CopyFrom(record.closure)
    closure.phase = event.phase
    closure.updated_at.CopyFrom(event.occurred_at)
    occurred_at = to_datetime(event.occurred_at)
    started_at = record.started_at
    if event.phase == NodeExecution.RUNNING and started_at is None:
        closure.started_at.CopyFrom(event.occurred_at)
        started_at = occurred_at
    cache_status = _take_target(closure, event) or record.cache_status
    changed = replace(
        record,
        phase=NodeExecution.Phase.Name(event.phase),
        closure=closure,
        node_execution_metadata=_metadata(record.node_execution_metadata, event),
        input_uri=event.input_uri or record.input_uri,
        started_at=started_at,
        updated_at=occurred_at,
        node_execution_updated_at=occurred_at,
        cache_status=cache_status,
    )
    return _with_result(changed, event) if event.phase in TERMINAL else changed


def _with_result(record: NodeExecutionRecord, event: NodeExecutionEvent) -> NodeExecutionRecord:
    changed = replace(record, duration=note_end(record.closure, event.occurred_at))
    take_result(record.closure, event)
    if event.WhichOneof("output_result") != "error":
        return changed
    return replace(changed, error_kind=name_of(ExecutionError.ErrorKind, event.error.kind), error_code=event.error.code)


def _take_target(closure: NodeExecutionClosure, event: NodeExecutionEvent) -> str | None:
    """Take what the node's target reports; return the cache status if it has one."""
    if event.deck_uri:
        closure.deck_uri = event.deck_uri
    match event.WhichOneof("target_metadata"):
        case "workflow_node_metadata":
            closure.workflow_node_metadata.executionId.CopyFrom(event.workflow_node_metadata.execution_id)
        case "task_node_metadata":
            reported = event.task_node_metadata
            closure.task_node_metadata.cache_status = reported.cache_status
            if reported.HasField("catalog_key"):
                closure.task_node_metadata.catalog_key.CopyFrom(reported.catalog_key)
            if reported.checkpoint_uri:
                closure.task_node_metadata.checkpoint_uri = reported.checkpoint_uri
            if reported.dynamic_workflow.dynamic_job_spec_uri:
                closure.dynamic_job_spec_uri = reported.dynamic_workflow.dynamic_job_spec_uri
            return name_of(CatalogCacheStatus, reported.cache_status)
    return None


def _metadata(known: NodeExecutionMetaData, event: NodeExecutionEvent) -> NodeExecutionMetaData:
    """Return what is known now: a node may turn out to be a parent or dynamic, and never stops being one."""
    return NodeExecutionMetaData(
        retry_group=event.retry_group or known.retry_group,
        spec_node_id=event.spec_node_id or known.spec_node_id,
        is_parent_node=event.is_parent or known.is_parent_node,
        is_dynamic=event.is_dynamic or known.is_dynamic,
        is_array=event.is_array or known.is_array,
        is_eager=event.is_eager or known.is_eager,
    )
