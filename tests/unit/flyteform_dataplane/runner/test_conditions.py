"""Conditions of branches over literals of every kind that can be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack  # type: ignore[import-untyped]
import pytest
from flyteidl.core.condition_pb2 import BooleanExpression, ComparisonExpression, ConjunctionExpression, Operand
from flyteidl.core.literals_pb2 import Binary, Literal, LiteralMap, Primitive, Scalar, Union, Void
from flyteidl.core.workflow_pb2 import IfElseBlock

from flyteform_dataplane.errors import UserError
from flyteform_dataplane.runner.conditions import BranchError, RaisedError, choose
from support.closures import compare, integers, literals

if TYPE_CHECKING:
    from typing import Any

NONE = Literal(scalar=Scalar(none_type=Void()))


def primitive(value: Any) -> Primitive:
    """Return a value as a primitive."""
    if isinstance(value, bool):
        return Primitive(boolean=value)
    if isinstance(value, int):
        return Primitive(integer=value)
    return Primitive(string_value=value) if isinstance(value, str) else Primitive(float_value=value)


def block(*conditions: BooleanExpression, error: str = "", default: bool = False) -> IfElseBlock:
    """Return the cases with these conditions."""
    made = IfElseBlock()
    made.case.condition.CopyFrom(conditions[0])
    for condition in conditions[1:]:
        made.other.add().condition.CopyFrom(condition)
    if error:
        made.error.message = error
    if default:
        made.else_node.SetInParent()
    return made


def holds(literal: Literal, sign: str, right: Any) -> bool:
    """Evaluate one comparison."""
    comparison = ComparisonExpression(
        operator=ComparisonExpression.Operator.Value(sign),  # type: ignore[arg-type]
        left_value=Operand(var=".x"),
        right_value=Operand(scalar=NONE.scalar) if right is None else Operand(primitive=primitive(right)),
    )
    inputs = LiteralMap(literals={".x": literal})
    return choose(block(BooleanExpression(comparison=comparison), default=True), inputs) == 0


@pytest.mark.parametrize(
    ("left", "sign", "right", "expected"),
    [
        (1, "EQ", 1, True),
        (1, "NEQ", 1, False),
        (2, "GT", 1.5, True),
        (2, "GTE", 2, True),
        (1.0, "LT", 1, False),
        (1, "LTE", 0, False),
        ("a", "EQ", "a", True),
        ("a", "LT", "b", True),
        (True, "EQ", True, True),
        (True, "NEQ", False, True),
    ],
)
def test_comparisons(left: Any, sign: str, right: Any, expected: bool) -> None:
    """Each operator on each kind of primitive, alone, in a union, and out of a dataclass."""
    plain = Literal(scalar=Scalar(primitive=primitive(left)))
    packed = Literal(scalar=Scalar(binary=Binary(value=msgpack.packb(left), tag="msgpack")))
    for literal in (plain, Literal(scalar=Scalar(union=Union(value=plain))), packed):
        assert holds(literal, sign, right) is expected


def test_times_and_nothing() -> None:
    """Times and durations have their order; nothing equals nothing only."""
    early, late = Literal(), Literal()
    early.scalar.primitive.datetime.FromSeconds(5)
    late.scalar.primitive.datetime.FromSeconds(7)
    operands = Operand(var="a"), Operand(primitive=late.scalar.primitive)
    comparison = ComparisonExpression(operator=ComparisonExpression.LT, left_value=operands[0], right_value=operands[1])
    assert choose(block(BooleanExpression(comparison=comparison)), LiteralMap(literals={"a": early})) == 0
    assert holds(NONE, "EQ", None)
    assert holds(literals(x=1).literals["x"], "NEQ", None)
    assert not holds(NONE, "EQ", 1)


@pytest.mark.parametrize(
    ("literal", "sign", "right"),
    [
        (literals(x=1).literals["x"], "EQ", "1"),
        (NONE, "LT", 1),
        (Literal(scalar=Scalar(primitive=Primitive(boolean=True))), "GT", False),
        (Literal(scalar=Scalar(primitive=Primitive(boolean=True))), "EQ", 1),
        (integers(1), "EQ", 1),
        (Literal(scalar=Scalar(binary=Binary(value=msgpack.packb([1]), tag="msgpack"))), "EQ", 1),
    ],
)
def test_what_cannot_be_compared(literal: Literal, sign: str, right: Any) -> None:
    """Values that have no order, or are of different kinds, are the user's error."""
    with pytest.raises(BranchError, match="a condition"):
        holds(literal, sign, right)


def test_first_case_that_holds_wins_and_else_is_last() -> None:
    """Cases are tried in their order; without any the else, the workflow's own error, or an error that says so."""
    cases = compare("x", "GT", 5), compare("x", "GT", 1)
    assert [choose(block(*cases, default=True), literals(x=value)) for value in (9, 3, 0)] == [0, 1, 2]
    with pytest.raises(RaisedError, match=r"^bad$"):
        choose(block(*cases, error="bad"), literals(x=0))
    with pytest.raises(BranchError, match="has no else"):
        choose(block(*cases), literals(x=0))


def test_conjunctions_look_only_at_what_counts() -> None:
    """Conditions joined by and or or; the right side is not evaluated when the left one decides."""

    def joined(left: BooleanExpression, sign: ConjunctionExpression.LogicalOperator, right: BooleanExpression) -> bool:
        conjunction = ConjunctionExpression(operator=sign, left_expression=left, right_expression=right)
        return choose(block(BooleanExpression(conjunction=conjunction), default=True), literals(x=3)) == 0

    true, false, broken = compare("x", "EQ", 3), compare("x", "EQ", 4), compare("y", "EQ", 3)
    both, either = ConjunctionExpression.AND, ConjunctionExpression.OR
    assert joined(true, both, true)
    assert not joined(true, both, false)
    assert not joined(false, both, broken)
    assert joined(true, either, broken)
    assert joined(false, either, true)
    assert not joined(false, either, false)
    with pytest.raises(UserError, match="'y', which is not among the inputs"):
        joined(true, both, broken)
    with pytest.raises(BranchError, match="has no condition"):
        choose(IfElseBlock(), literals())
