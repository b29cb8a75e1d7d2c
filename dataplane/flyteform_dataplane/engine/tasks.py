"""What a node's task says to the engine, with the node's overrides applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform_dataplane.engine.graph import NodeKind
from flyteform_dataplane.engine.overrides import overridden

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteidl.core.identifier_pb2 import Identifier
    from flyteidl.core.tasks_pb2 import TaskMetadata, TaskTemplate
    from flyteidl.core.workflow_pb2 import ArrayNode, GateNode, NodeMetadata, TaskNode
    from google.protobuf.duration_pb2 import Duration

Key = tuple[str, ...]


def key_of_entity(identifier: Identifier) -> Key:
    """Return what an entity is found by."""
    return (identifier.project, identifier.domain, identifier.name, identifier.version)


def node_settings(metadata: NodeMetadata) -> dict[str, object]:
    """Return the fields of a record that follow from what the node itself says."""
    return {"retries": metadata.retries.retries, "timeout": _seconds(metadata.timeout)}


def gate_settings(gate: GateNode, metadata: NodeMetadata) -> dict[str, object]:
    """Return the fields of a record that follow from its gate. A sleep ends well, unless it is longer than allowed."""
    settings = {"work": NodeKind.GATE, "gate": gate} | node_settings(metadata)
    if gate.WhichOneof("condition") != "sleep":
        return settings
    duration, allowed = _seconds(gate.sleep.duration), _seconds(metadata.timeout)
    sleeps = not allowed or duration <= allowed
    return settings | {"sleeps": sleeps, "timeout": duration if sleeps else allowed}


def task_settings(
    node: TaskNode, metadata: NodeMetadata, tasks: Mapping[Key, TaskTemplate], *, interruptible: bool
) -> dict[str, object]:
    """Return the fields of a record that follow from its task; none when the task is not known.

    `interruptible` counts when neither node nor task says anything.
    """
    template = tasks.get(key_of_entity(node.reference_id))
    if template is None:
        return {}  # refused by the indexer
    task = overridden(template, node.overrides, metadata)
    settings = task.metadata
    timeout = (metadata if metadata.HasField("timeout") else settings).timeout
    return {
        "task": task,
        "work": NodeKind.TASK,
        # The node's own strategy counts when it says anything, as in Flyte.
        "retries": metadata.retries.retries or settings.retries.retries,
        # A result without outputs is nothing that a cache could give back.
        "cacheable": settings.discoverable and bool(task.interface.outputs.variables),
        "timeout": _seconds(timeout),
        "interruptible": _interruptible(metadata, settings, default=interruptible),
    }


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


def _interruptible(node: NodeMetadata, task: TaskMetadata, *, default: bool) -> bool:
    if node.WhichOneof("interruptible_value"):
        return node.interruptible
    return task.interruptible if task.WhichOneof("interruptible_value") else default


def array_settings(array: ArrayNode) -> dict[str, object]:
    """Return the fields of a record that follow from a map."""
    counted = array.WhichOneof("success_criteria")
    return {
        "parallelism": array.parallelism,
        "min_successes": array.min_successes if counted == "min_successes" else None,
        "min_success_ratio": array.min_success_ratio if counted == "min_success_ratio" else 1.0,
        "bound_inputs": frozenset(array.bound_inputs),
        "run_all_items": array.run_all_sub_nodes,
    }
