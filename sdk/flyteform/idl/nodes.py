"""The nodes of a workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from flyteidl.core import condition_pb2, identifier_pb2, workflow_pb2

from flyteform.authoring.conditions import Comparison, Conjunction
from flyteform.authoring.graph import Branch, Constant, Gate, Reference, operand_name
from flyteform.authoring.launch_plans import LaunchPlan
from flyteform.authoring.mapping import MapTask
from flyteform.authoring.references import ReferenceEntity
from flyteform.authoring.tasks import PythonTask
from flyteform.authoring.workflows import Workflow
from flyteform.idl.bindings import bindings
from flyteform.idl.tasks import resources

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteidl.core.identifier_pb2 import Identifier

    from flyteform.authoring.conditions import Condition
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
        case ReferenceEntity():
            message.metadata.CopyFrom(_metadata(entity, node.overrides))
            _refer(message, entity, node.overrides)
        case Gate():
            message.metadata.CopyFrom(_plain_metadata(entity.name, node.overrides))
            message.metadata.timeout.FromTimedelta(node.overrides.timeout or entity.timeout)
            message.gate_node.CopyFrom(_gate_node(entity))
        case Branch():
            message.metadata.CopyFrom(_plain_metadata(entity.name, node.overrides))
            message.branch_node.if_else.CopyFrom(_if_else(entity, resolve))
        case _:
            assert_never(entity)
    return message


def _refer(message: workflow_pb2.Node, entity: ReferenceEntity, overrides: Overrides) -> None:
    kinds = {
        "task": identifier_pb2.TASK, "workflow": identifier_pb2.WORKFLOW, "launch plan": identifier_pb2.LAUNCH_PLAN
    }  # fmt: skip
    identifier = identifier_pb2.Identifier(
        resource_type=kinds[entity.kind],
        project=entity.project,
        domain=entity.domain,
        name=entity.name,
        version=entity.version,
    )
    match entity.kind:
        case "task":
            message.task_node.CopyFrom(_task_node(identifier, overrides))
        case "workflow":
            message.workflow_node.sub_workflow_ref.CopyFrom(identifier)
        case "launch plan":
            message.workflow_node.launchplan_ref.CopyFrom(identifier)


def _gate_node(gate: Gate) -> workflow_pb2.GateNode:
    message = workflow_pb2.GateNode()
    if gate.duration is not None:
        message.sleep.duration.FromTimedelta(gate.duration)
    elif gate.approves or gate.family is None:
        message.approve.signal_id = gate.name
    else:
        message.signal.signal_id, message.signal.output_variable_name = gate.name, gate.output
        message.signal.type.CopyFrom(gate.family.literal_type())
    return message


def _if_else(branch: Branch, resolve: Callable[[Entity], Identifier]) -> workflow_pb2.IfElseBlock:
    first, *others = (
        workflow_pb2.IfBlock(condition=_expression(case.condition), then_node=node_message(case.node, resolve))
        for case in branch.cases
    )
    message = workflow_pb2.IfElseBlock(case=first, other=others)
    if branch.otherwise is not None:
        message.else_node.CopyFrom(node_message(branch.otherwise, resolve))
    else:
        message.error.failed_node_id, message.error.message = branch.name, branch.error
    return message


def _expression(condition: Condition) -> condition_pb2.BooleanExpression:
    match condition:
        case Comparison(sign=sign, left=left, right=right):
            comparison = condition_pb2.ComparisonExpression(
                operator=sign,
                left_value=_operand(left),
                right_value=_operand(right),
            )
            return condition_pb2.BooleanExpression(comparison=comparison)
        case Conjunction(sign=sign, left=left, right=right):
            conjunction = condition_pb2.ConjunctionExpression(
                operator=sign,
                left_expression=_expression(left),
                right_expression=_expression(right),
            )
            return condition_pb2.BooleanExpression(conjunction=conjunction)
        case _:
            raise TypeError(condition)


def _operand(operand: Reference | Constant) -> condition_pb2.Operand:
    if isinstance(operand, Reference):
        return condition_pb2.Operand(var=operand_name(operand))
    scalar = operand.family.to_literal(operand.value).scalar
    if scalar.HasField("primitive"):
        return condition_pb2.Operand(primitive=scalar.primitive)
    return condition_pb2.Operand(scalar=scalar)


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
    array.run_all_sub_nodes = entity.run_all_sub_nodes
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


def _metadata(entity: Workflow | LaunchPlan | ReferenceEntity, overrides: Overrides) -> workflow_pb2.NodeMetadata:
    shown = entity.workflow if isinstance(entity, LaunchPlan) else entity
    message = _plain_metadata(shown.short_name, overrides)
    if isinstance(shown, Workflow):
        message.interruptible = bool(shown.interruptible)
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
