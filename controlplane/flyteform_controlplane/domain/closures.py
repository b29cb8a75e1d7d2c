"""What events of executions, nodes and attempts write into closures in the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform_controlplane.domain.times import elapsed, to_duration

if TYPE_CHECKING:
    from flyteidl.admin.execution_pb2 import ExecutionClosure
    from flyteidl.admin.node_execution_pb2 import NodeExecutionClosure
    from flyteidl.admin.task_execution_pb2 import TaskExecutionClosure
    from flyteidl.event.event_pb2 import NodeExecutionEvent, TaskExecutionEvent
    from google.protobuf.timestamp_pb2 import Timestamp


def note_end(closure: ExecutionClosure | NodeExecutionClosure | TaskExecutionClosure, at: Timestamp) -> int:
    """Write how long it ran, and return that in nanoseconds: 0, and nothing written, for what never started."""
    if not closure.HasField("started_at"):
        return 0
    duration = elapsed(closure.started_at, at)
    closure.duration.CopyFrom(to_duration(duration))
    return duration


def take_result(
    closure: NodeExecutionClosure | TaskExecutionClosure, event: NodeExecutionEvent | TaskExecutionEvent
) -> None:
    """Write where the outputs are, the outputs themselves, or the error."""
    match event.WhichOneof("output_result"):
        case "output_uri":
            closure.output_uri = event.output_uri
        case "output_data":
            closure.output_data.CopyFrom(event.output_data)
        case "error":
            closure.error.CopyFrom(event.error)
