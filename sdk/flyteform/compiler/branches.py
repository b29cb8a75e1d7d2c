"""Branch nodes: the nodes inside are renamed and agree on their outputs, the conditions compare like with like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform.compiler import casting, literals, text
from flyteform.compiler.bindings import Direction, bind_inputs
from flyteform.compiler.building import NodeState, make_interface
from flyteform.compiler.errors import ErrorKind
from flyteform.compiler.requirements import branch_cases

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteidl.core.condition_pb2 import BooleanExpression, Operand
    from flyteidl.core.interface_pb2 import TypedInterface
    from flyteidl.core.types_pb2 import LiteralType
    from flyteidl.core.workflow_pb2 import IfElseBlock

    from flyteform.compiler.building import Build
    from flyteform.compiler.errors import Collector


def branch_interface(
    build: Build, node: NodeState, find_interface: Callable[[Build, NodeState], bool]
) -> TypedInterface | None:
    """Rename the nodes inside to `<branch>-<node>` and take the outputs that all of them have, with one type each."""
    before = len(build.errors)
    if not _is_complete(node, build.errors):
        return None
    node.inner = [NodeState(case) for case in branch_cases(node.message.branch_node.if_else)]
    common: dict[str, LiteralType] | None = None
    for inner in node.inner:
        inner.message.id = f"{node.id}-{inner.id}"
        if not find_interface(build, inner) or inner.interface is None:
            continue
        outputs = {name: variable.type for name, variable in inner.interface.outputs.variables.items()}
        common = outputs if common is None else _agree(inner, common, outputs, build.errors)
    inputs = bind_inputs(build, node, None, Direction.UPSTREAM)
    if len(build.errors) != before or common is None:
        return None
    return make_interface(inputs, common)


def check_branch(build: Build, node: NodeState) -> bool:
    """Check the conditions, and that something happens when none holds."""
    before = len(build.errors)
    block = node.message.branch_node.if_else
    cases = [block.case] if block.HasField("case") else []
    if not cases:
        _no_condition(node, build.errors)
    for case in (*cases, *block.other):
        if case.HasField("condition"):
            _check_condition(node, case.condition, build.errors)
        else:
            _no_condition(node, build.errors)
        if not case.HasField("then_node"):
            build.errors.add(ErrorKind.BRANCH_NODE_ID_NOT_FOUND, node.id, "BranchNode not assigned")
    if block.WhichOneof("default") is None:
        found = "Branch Node must have either the else case set or a default error."
        build.errors.add(ErrorKind.BRANCH_NODE_HAS_NO_DEFAULT, node.id, found)
    return len(build.errors) == before


def _is_complete(node: NodeState, errors: Collector) -> bool:
    """Check that there is a first case with a node; without one there is nothing to take an interface from."""
    branch = node.message.branch_node
    block: IfElseBlock = branch.if_else
    if not branch.HasField("if_else"):
        errors.value_required(node.id, "Branch.IfElse")
    elif not block.HasField("case"):
        errors.value_required(node.id, "Branch.IfElse.Case")
    elif not block.case.HasField("then_node"):
        errors.value_required(node.id, "Branch.IfElse.Case.ThenNode")
    else:
        for case in block.other:
            if not case.HasField("then_node"):
                errors.value_required(node.id, "IfElse.Case.ThenNode")
        return True
    return False


def _agree(
    inner: NodeState, common: dict[str, LiteralType], outputs: dict[str, LiteralType], errors: Collector
) -> dict[str, LiteralType]:
    shared = {name: kind for name, kind in common.items() if name in outputs}
    for name, kind in shared.items():
        if kind != outputs[name]:
            _mismatch(inner, name, text.one_line(kind), text.one_line(outputs[name]), errors)
    return shared


def _no_condition(node: NodeState, errors: Collector) -> None:
    found = "One of the branches on the node doesn't have a condition."
    errors.add(ErrorKind.BRANCH_NODE_HAS_NO_CONDITION, node.id, found)


def _mismatch(node: NodeState, name: str, given: str, expected: str, errors: Collector) -> None:
    found = f"Variable [{name}] (type [{given}]) doesn't match expected type [{expected}]."
    errors.add(ErrorKind.MISMATCHING_TYPES, node.id, found)


def _check_condition(node: NodeState, expression: BooleanExpression, errors: Collector) -> None:
    match expression.WhichOneof("expr"):
        case "comparison":
            comparison = expression.comparison
            right = _operand(node, "RightValue", comparison.HasField("right_value"), comparison.right_value, errors)
            left = _operand(node, "LeftValue", comparison.HasField("left_value"), comparison.left_value, errors)
            if right is not None and left is not None and not _comparable(right, left):
                _mismatch(node, "RightValue", text.literal_type(right), text.literal_type(left), errors)
        case "conjunction":
            conjunction = expression.conjunction
            for present, side in (
                (conjunction.HasField("left_expression"), conjunction.left_expression),
                (conjunction.HasField("right_expression"), conjunction.right_expression),
            ):
                if present:
                    _check_condition(node, side, errors)
                else:
                    _no_condition(node, errors)
        case _:
            errors.value_required(node.id, "Expr")


def _comparable(one: LiteralType, other: LiteralType) -> bool:
    """Compare equal types, and an optional value with NONE."""
    optional_with_none = (casting.is_none(one) and casting.is_optional(other)) or (
        casting.is_none(other) and casting.is_optional(one)
    )
    return one == other or optional_with_none


def _operand(node: NodeState, side: str, present: bool, operand: Operand, errors: Collector) -> LiteralType | None:
    """Give the type of an operand: a constant, or an input that the branch node binds."""
    which = operand.WhichOneof("val") if present else None
    if not present:
        errors.value_required(node.id, side)
    elif which == "primitive":
        return literals.type_of_primitive(operand.primitive)
    elif which == "scalar":
        return literals.type_of_scalar(operand.scalar)
    elif not operand.var:
        errors.value_required(node.id, f"{side}.Val")
    elif node.interface is None:
        errors.value_required(node.id, operand.var)
    elif operand.var in node.interface.inputs.variables:
        return node.interface.inputs.variables[operand.var].type
    else:
        found = f"Variable [{operand.var}] not found on node [{node.id}]."
        errors.add(ErrorKind.VARIABLE_NAME_NOT_FOUND, node.id, found)
    return None
