"""The nodes of a workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from flyteidl.core import workflow_pb2

from flyteform.authoring.launch_plans import LaunchPlan
from flyteform.authoring.mapping import MapTask
from flyteform.authoring.tasks import PythonTask
from flyteform.authoring.workflows import Workflow
from flyteform.idl.bindings import bindings
from flyteform.idl.tasks import resources

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteidl.core.identifier_pb2 import Identifier

    from flyteform.authoring.entity import Entity
    from flyteform.authoring.graph import Node, Overrides


def node_message(node: Node, resolve: Callable[[Entity], Identifier]) -> workflow_pb2.Node:
    """Return a node; `resolve` gives the registered id of what it runs."""
    message = workflow_pb2.Node(id=node.id, inputs=bindings(node.bindings), upstream_node_ids=node.upstream)
    entity = node.entity
    match entity:
        case PythonTask():
            message.metadata.CopyFrom(_task_metadata(entity.short_name, entity, node.overrides))
            message.task_node.CopyFrom(_task_node(resolve(entity), node.overrides))
        case MapTask():
            message.metadata.CopyFrom(_plain_metadata(entity.short_name, node.overrides))
            message.array_node.CopyFrom(_array_node(entity, node, resolve(entity)))
        case Workflow():
            message.metadata.CopyFrom(_metadata(entity, node.overrides))
            message.workflow_node.sub_workflow_ref.CopyFrom(resolve(entity))
        case LaunchPlan():
            message.metadata.CopyFrom(_metadata(entity, node.overrides))
            message.workflow_node.launchplan_ref.CopyFrom(resolve(entity))
        case _:
            assert_never(entity)
    return message


def _array_node(entity: MapTask, node: Node, identifier: Identifier) -> workflow_pb2.ArrayNode:
    sub_node = workflow_pb2.Node(
        id=entity.name,
        metadata=_task_metadata(entity.short_name, entity.task, node.overrides),
        inputs=bindings(node.bindings),
        task_node=_task_node(identifier, node.overrides),
    )
    array = workflow_pb2.ArrayNode(
        node=sub_node,
        execution_mode=workflow_pb2.ArrayNode.MINIMAL_STATE,
        bound_inputs=entity.bound_names,
    )
    array.is_original_sub_node_interface.value = False  # present and false: inputs are the lists themselves
    if entity.concurrency is not None:
        array.parallelism = entity.concurrency
    if entity.min_successes is not None:
        array.min_successes = entity.min_successes
    elif entity.min_success_ratio is not None:
        array.min_success_ratio = entity.min_success_ratio
    return array


def _task_node(identifier: Identifier, overrides: Overrides) -> workflow_pb2.TaskNode:
    message = workflow_pb2.TaskNode(reference_id=identifier)
    message.overrides.SetInParent()
    if overrides.requests is not None or overrides.limits is not None:
        message.overrides.resources.CopyFrom(resources(overrides.requests, overrides.limits))
    if overrides.container_image is not None:
        message.overrides.container_image = overrides.container_image
    return message


def _plain_metadata(name: str, overrides: Overrides) -> workflow_pb2.NodeMetadata:
    message = workflow_pb2.NodeMetadata(name=overrides.name or name)
    message.retries.SetInParent()
    return message


def _metadata(entity: Workflow | LaunchPlan, overrides: Overrides) -> workflow_pb2.NodeMetadata:
    workflow = entity.workflow if isinstance(entity, LaunchPlan) else entity
    message = _plain_metadata(workflow.short_name, overrides)
    message.interruptible = bool(workflow.interruptible)
    _override(message, overrides)
    return message


def _task_metadata(name: str, task: PythonTask, overrides: Overrides) -> workflow_pb2.NodeMetadata:
    """Return what the engine reads for a task: the task's own settings, as far as they are not overridden."""
    message = _plain_metadata(name, overrides)
    settings = task.settings
    message.retries.retries = settings.retries
    if settings.timeout is not None:
        message.timeout.FromTimedelta(settings.timeout)
    if settings.interruptible is not None:
        message.interruptible = settings.interruptible
    _override(message, overrides)
    return message


def _override(message: workflow_pb2.NodeMetadata, overrides: Overrides) -> None:
    if overrides.retries is not None:
        message.retries.retries = overrides.retries
    if overrides.timeout is not None:
        message.timeout.FromTimedelta(overrides.timeout)
    for field, value in (
        ("interruptible", overrides.interruptible),
        ("cacheable", overrides.cache),
        ("cache_version", overrides.cache_version),
        ("cache_serializable", overrides.cache_serialize),
    ):
        if value is not None:
            setattr(message, field, value)
