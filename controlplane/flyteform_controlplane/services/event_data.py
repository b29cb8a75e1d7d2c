"""What an event carries inside it and the row only refers to: written to the object store first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform_controlplane.domain.locations import event_data

if TYPE_CHECKING:
    from flyteidl.core.identifier_pb2 import NodeExecutionIdentifier
    from google.protobuf.message import Message

    from flyteform.proto.flyteform.v1.events_pb2 import Event
    from flyteform_controlplane.services.backend import Backend


async def store_event_data(backend: Backend, event: Event) -> str:
    """Write inline inputs, turning the event's `input_data` to `input_uri`; return the URI of a dynamic closure."""
    match event.WhichOneof("event"):
        case "node":
            node = event.node.event
            if node.WhichOneof("input_value") == "input_data":
                node.input_uri = await _put(backend, node.id, "inputs", node.input_data)
            workflow = node.task_node_metadata.dynamic_workflow
            if workflow.HasField("compiled_workflow"):
                return await _put(backend, node.id, "dynamic_closure", workflow.compiled_workflow)
        case "task":
            task = event.task.event
            if task.WhichOneof("input_value") == "input_data":
                node_id = task.parent_node_execution_id
                task.input_uri = await _put(backend, node_id, "inputs", task.input_data)
    return ""


async def _put(backend: Backend, node: NodeExecutionIdentifier, name: str, data: Message) -> str:
    uri = event_data(backend.metadata_prefix, node, name)
    await backend.objects.put(uri, data.SerializeToString(deterministic=True))
    return uri
