"""Which case of a branch is taken: its conditions over the inputs of the node. Pure."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, TypeAlias

import msgpack  # type: ignore[import-untyped]
from flyteidl.core.condition_pb2 import ComparisonExpression, ConjunctionExpression

from flyteform_dataplane.errors import UserError
from flyteform_dataplane.runner.attributes import MSGPACK

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteidl.core.condition_pb2 import BooleanExpression, Operand
    from flyteidl.core.literals_pb2 import Literal, LiteralMap, Primitive, Scalar
    from flyteidl.core.workflow_pb2 import IfElseBlock

# Times and durations are seconds and nanoseconds.
Value: TypeAlias = int | float | str | bool | tuple[int, int] | None

_OPERATORS: dict[int, Callable[[Any, Any], bool]] = {
    ComparisonExpression.EQ: operator.eq,
    ComparisonExpression.NEQ: operator.ne,
    ComparisonExpression.GT: operator.gt,
    ComparisonExpression.GTE: operator.ge,
    ComparisonExpression.LT: operator.lt,
    ComparisonExpression.LTE: operator.le,
}
_EQUALITIES = (ComparisonExpression.EQ, ComparisonExpression.NEQ)


class BranchError(UserError):
    """A condition cannot be evaluated, or none is met where one has to be."""

    code = "MalformedBranchUserError"


class RaisedError(UserError):
    """The branch's own error, for when no condition is met."""

    code = "UserProvidedError"


def choose(block: IfElseBlock, inputs: LiteralMap) -> int:
    """Return the number of the case that is taken, the else being the last one.

    `UserError` when none is: the workflow's own message where it has one.
    """
    cases = (block.case, *block.other)
    for number, case in enumerate(cases):
        if _holds(case.condition, inputs):
            return number
    match block.WhichOneof("default"):
        case "else_node":
            return len(cases)
        case "error":
            raise RaisedError(block.error.message or "no condition is met")
        case _:
            raise BranchError("no condition is met, and the branch has no else")


def _holds(expression: BooleanExpression, inputs: LiteralMap) -> bool:
    match expression.WhichOneof("expr"):
        case "comparison":
            return _compare(expression.comparison, inputs)
        case "conjunction":
            conjunction = expression.conjunction
            left = _holds(conjunction.left_expression, inputs)
            # The side that doesn't count is not looked at, as in Python.
            if left is (conjunction.operator == ConjunctionExpression.OR):
                return left
            return _holds(conjunction.right_expression, inputs)
        case _:
            raise BranchError("a case of the branch has no condition")


def _compare(comparison: ComparisonExpression, inputs: LiteralMap) -> bool:
    left, right = _operand(comparison.left_value, inputs), _operand(comparison.right_value, inputs)
    comparable = _kind(left) == _kind(right) and left is not None and not isinstance(left, bool)
    either_none = left is None or right is None
    if comparison.operator in _EQUALITIES and (either_none or _kind(left) == _kind(right)):
        return _OPERATORS[comparison.operator](left, right)
    if not comparable:
        sign = ComparisonExpression.Operator.Name(comparison.operator)
        raise BranchError(f"a condition compares {_kind(left)} and {_kind(right)} by {sign}, which says nothing")
    return _OPERATORS[comparison.operator](left, right)


def _kind(value: Value) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case _:
            return "a time"


def _operand(operand: Operand, inputs: LiteralMap) -> Value:
    match operand.WhichOneof("val"):
        case "primitive":
            return _primitive(operand.primitive)
        case "scalar":
            return _scalar(operand.scalar, "the constant")
        case "var" if operand.var in inputs.literals:
            return _literal(inputs.literals[operand.var], operand.var)
        case _:
            raise BranchError(f"a condition is about {operand.var!r}, which is not among the inputs of the branch")


def _literal(literal: Literal, name: str) -> Value:
    kind = literal.WhichOneof("value")
    if kind != "scalar":
        raise BranchError(f"a condition is about {name!r}, which is a {kind} and no single value")
    return _scalar(literal.scalar, name)


def _scalar(scalar: Scalar, name: str) -> Value:
    match scalar.WhichOneof("value"):
        case "primitive":
            return _primitive(scalar.primitive)
        case "none_type":
            return None
        case "union":
            return _literal(scalar.union.value, name)
        case "binary" if scalar.binary.tag in (MSGPACK, ""):
            value = msgpack.unpackb(scalar.binary.value, strict_map_key=False)
            if value is None or isinstance(value, int | float | str):
                return value
    raise BranchError(f"a condition is about {name!r}, which is no value that can be compared")


def _primitive(primitive: Primitive) -> Value:
    match primitive.WhichOneof("value"):
        case "datetime":
            return primitive.datetime.seconds, primitive.datetime.nanos
        case "duration":
            return primitive.duration.seconds, primitive.duration.nanos
        case None:
            return None
        case name:
            value: Value = getattr(primitive, name)
            return value
