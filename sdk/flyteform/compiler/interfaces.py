"""The interface of a node, from what the node runs: a task, a workflow, a launch plan, a branch, a gate or an array."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core import interface_pb2

from flyteform.compiler import text
from flyteform.compiler.bindings import Direction, bind_inputs
from flyteform.compiler.branches import branch_interface
from flyteform.compiler.building import NodeState, check_interface, make_interface
from flyteform.compiler.errors import ErrorKind
from flyteform.compiler.ids import IdKey

if TYPE_CHECKING:
    from flyteidl.core.interface_pb2 import TypedInterface, VariableMap
    from flyteidl.core.workflow_pb2 import SignalCondition

    from flyteform.compiler.building import Build, LaunchPlanInterface


def find_interface(build: Build, node: NodeState) -> bool:
    """Work out the node's interface and keep it; False when that brought errors."""
    if node.interface is not None:
        return True
    before = len(build.errors)
    interface = _interface(build, node)
    if interface is not None:
        check_interface(node.id, interface, build.errors)
    if len(build.errors) == before:
        node.interface = interface
    return len(build.errors) == before


def _interface(build: Build, node: NodeState) -> TypedInterface | None:
    match node.message.WhichOneof("target"):
        case "task_node":
            return _task(build, node)
        case "workflow_node":
            return _workflow(build, node)
        case "branch_node":
            return branch_interface(build, node, find_interface)
        case "gate_node":
            return _gate(build, node)
        case "array_node":
            return _array(build, node)
        case _:
            build.errors.value_required(node.id, "Target")
            return None


def _task(build: Build, node: NodeState) -> TypedInterface | None:
    if not node.message.task_node.HasField("reference_id"):
        build.errors.value_required(node.id, "TaskNode.ReferenceId")
        return None
    reference = node.message.task_node.reference_id
    template = build.library.tasks[IdKey.from_message(reference)].template
    return template.interface if template.HasField("interface") else interface_pb2.TypedInterface()


def _workflow(build: Build, node: NodeState) -> TypedInterface | None:
    workflow = node.message.workflow_node
    if workflow.HasField("launchplan_ref"):
        return _launch_plan(build.library.launch_plans[IdKey.from_message(workflow.launchplan_ref)], node)
    if not workflow.HasField("sub_workflow_ref"):
        found = f"Referenced Workflow [{text.one_line(workflow)}] not found."
        build.errors.add(ErrorKind.WORKFLOW_REFERENCE_NOT_FOUND, node.id, found)
        return None
    template = build.library.sub_workflows[IdKey.from_message(workflow.sub_workflow_ref)].template
    if not template.HasField("interface"):
        build.errors.value_required(node.id, "WorkflowNode.Template.Interface")
        return None
    return template.interface


def _launch_plan(launch_plan: LaunchPlanInterface, node: NodeState) -> TypedInterface:
    """Take the required inputs and those with a default that the node overrides; fixed inputs are out of reach."""
    given = {binding.var for binding in node.message.inputs}
    interface = interface_pb2.TypedInterface(outputs=launch_plan.outputs)
    for name, parameter in launch_plan.expected_inputs.parameters.items():
        if name not in launch_plan.fixed_inputs.literals and (parameter.required or name in given):
            interface.inputs.variables[name].CopyFrom(parameter.var)
    return interface


def _gate(build: Build, node: NodeState) -> TypedInterface | None:
    """Let an approval pass its inputs through; a signal brings one output, a sleep has neither."""
    gate = node.message.gate_node
    match gate.WhichOneof("condition"):
        case "approve":
            types = bind_inputs(build, node, None, Direction.UPSTREAM)
            return make_interface(types, types)
        case "signal":
            return _signal(build, node, gate.signal)
        case "sleep":
            return interface_pb2.TypedInterface()
        case _:
            found = f"Can't find any condition in gate node [{node.id}]."
            build.errors.add(ErrorKind.NO_CONDITION_FOUND, node.id, found)
            return None


def _signal(build: Build, node: NodeState, signal: SignalCondition) -> TypedInterface | None:
    if not signal.HasField("type"):
        build.errors.value_required(node.id, "GateNode.Signal.Type")
        return None
    if not signal.output_variable_name:
        build.errors.value_required(node.id, "GateNode.Signal.OutputVariableName")
        return None
    return make_interface({}, {signal.output_variable_name: signal.type})


def _array(build: Build, node: NodeState) -> TypedInterface | None:
    """Take the inner node's interface; a client that keeps the original one leaves the wrapping in lists to us.

    Bound inputs are given whole to every item, so they are not wrapped.
    """
    array = node.message.array_node
    inner = NodeState(array.node)
    if not find_interface(build, inner) or inner.interface is None:
        return None
    if not array.is_original_sub_node_interface.value:
        return inner.interface
    interface = interface_pb2.TypedInterface()
    _wrap(inner.interface.inputs, interface.inputs, whole=frozenset(array.bound_inputs))
    _wrap(inner.interface.outputs, interface.outputs, whole=frozenset())
    return interface


def _wrap(source: VariableMap, target: VariableMap, *, whole: frozenset[str]) -> None:
    for name, variable in source.variables.items():
        copy = target.variables[name]
        copy.CopyFrom(variable)
        if name not in whole:
            copy.type.Clear()
            copy.type.collection_type.CopyFrom(variable.type)
