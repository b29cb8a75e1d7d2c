"""What a `conditional` decides by: comparisons of values that are not known yet, joined by `&` and `|`."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from flyteform.authoring import places
from flyteform.authoring.graph import Constant
from flyteform.errors import DefinitionError, TypeMismatchError
from flyteform.types.family import ValueMismatchError
from flyteform.types.scalars import BoolFamily, FloatFamily, IntFamily, NoneFamily, StrFamily
from flyteform.types.times import DatetimeFamily, TimedeltaFamily
from flyteform.types.unions import UnionFamily

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteform.types.family import TypeFamily

# Flyte compares these, and None for what is optional.
_PRIMITIVES = (BoolFamily, IntFamily, FloatFamily, StrFamily, DatetimeFamily, TimedeltaFamily)
SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "EQ": operator.eq,
    "NEQ": operator.ne,
    "GT": operator.gt,
    "GTE": operator.ge,
    "LT": operator.lt,
    "LTE": operator.le,
}
# How deep conditions may nest: readers of Flyte's messages take 100 levels, of which each costs two.
DEEPEST = 30
# Python's operators beside the sign that the platform has for them.
_OPERATORS = {"EQ": "==", "NEQ": "!=", "GT": ">", "GTE": ">=", "LT": "<", "LTE": "<="}


class Condition:
    """What a case of a `conditional` is taken by; `depth` is how many are joined in each other."""

    __slots__ = ()
    depth: int

    def __and__(self, other: Any) -> Conjunction:
        """Hold when both do."""
        return _joined("AND", self, _checked(other, "&"))

    def __or__(self, other: Any) -> Conjunction:
        """Hold when one of them does."""
        return _joined("OR", self, _checked(other, "|"))

    def __rand__(self, other: Any) -> NoReturn:
        """Refuse what is no condition."""
        raise _no_condition(other, "&")

    def __ror__(self, other: Any) -> NoReturn:
        """Refuse what is no condition."""
        raise _no_condition(other, "|")

    def __bool__(self) -> NoReturn:
        """Refuse: whether it holds is known only when the workflow runs."""
        raise DefinitionError(
            f"{places.of_caller()}: {self!r} is not known yet: it cannot be tested with if, while, and, or, not",
            remedy="use conditional(…), with & and | for and and or",
        )

    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Comparison(Condition):
    """Two values compared; one is a promise, and later a reference."""

    sign: str
    left: Any
    right: Any

    @property
    def depth(self) -> int:  # type: ignore[override]
        """It joins nothing."""
        return 1

    def __repr__(self) -> str:
        """Show the comparison."""
        return f"{_shown(self.left)} {_OPERATORS[self.sign]} {_shown(self.right)}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Conjunction(Condition):
    """Two conditions joined by AND or OR."""

    sign: str
    left: Condition
    right: Condition
    depth: int = 0

    def __repr__(self) -> str:
        """Show both."""
        return f"({self.left!r}) {'&' if self.sign == 'AND' else '|'} ({self.right!r})"


def compare(sign: str, left: Any, right: Any) -> Comparison:
    """Return the comparison of a promise with a promise or a constant, checked against their types."""
    from flyteform.authoring.promise import Promise

    family = _comparable(left)
    if not isinstance(right, Promise):
        return Comparison(sign, left, _constant(right, family, left, sign))
    other = _comparable(right)
    kinds = {type(each) for each in (*_variants(family), *_variants(other))} - {NoneFamily}
    if len(kinds) > 1:
        raise TypeMismatchError(
            f"{places.of_caller()}: {left!r} cannot be compared with {right!r}", remedy="compare values of one type"
        )
    return Comparison(sign, left, right)


def holds(condition: Condition, value: Callable[[Any], Any]) -> bool:
    """Evaluate a frozen condition; `value` gives the values of references and constants."""
    match condition:
        case Conjunction(sign="AND", left=left, right=right):
            return holds(left, value) and holds(right, value)
        case Conjunction(left=left, right=right):
            return holds(left, value) or holds(right, value)
        case Comparison(sign=sign, left=left, right=right):
            try:
                return bool(SIGNS[sign](value(left), value(right)))
            except TypeError as error:
                raise TypeMismatchError(f"a condition cannot be decided: {error}") from error
        case _:
            raise TypeError(condition)


def _comparable(promise: Any) -> TypeFamily:
    family: TypeFamily = promise._family  # noqa: SLF001 - a promise has no public names but the user's
    kinds = [each for each in _variants(family) if not isinstance(each, NoneFamily)]
    if len(kinds) != 1 or not isinstance(kinds[0], _PRIMITIVES):
        raise DefinitionError(
            f"{places.of_caller()}: {promise!r} cannot be compared",
            remedy="conditions compare bool, int, float, str, datetime and timedelta, or None with what is optional",
        )
    return family


def _variants(family: TypeFamily) -> tuple[TypeFamily, ...]:
    return family.variants if isinstance(family, UnionFamily) else (family,)


def _constant(value: Any, family: TypeFamily, promise: Any, sign: str) -> Constant:
    for variant in _variants(family):
        if (value is None) == isinstance(variant, NoneFamily):
            try:
                return Constant(variant.check(value), variant)
            except ValueMismatchError:
                continue
    raise TypeMismatchError(
        f"{places.of_caller()}: {promise!r} cannot be compared with {value!r} by {_OPERATORS[sign]}",
        remedy=f"compare it with a value of type {family.name}",
    )


def _joined(sign: str, left: Condition, right: Condition) -> Conjunction:
    depth = max(left.depth, right.depth) + 1
    if depth > DEEPEST:
        raise DefinitionError(
            f"{places.of_caller()}: more than {DEEPEST} conditions are joined in each other",
            remedy="let a task decide, and compare what it returns",
        )
    return Conjunction(sign, left, right, depth)


def _checked(other: Any, sign: str) -> Condition:
    if not isinstance(other, Condition):
        raise _no_condition(other, sign)
    return other


def _no_condition(other: Any, sign: str) -> DefinitionError:
    return DefinitionError(
        f"{places.of_caller()}: {sign} joins conditions, but {other!r} is none",
        remedy="write (a > 1) & (b < 2): & and | bind more tightly than comparisons",
    )


def _shown(operand: Any) -> str:
    if isinstance(operand, Constant):
        value = operand.value
        return (
            value.isoformat()
            if isinstance(value, datetime)
            else str(value)
            if isinstance(value, timedelta)
            else repr(value)
        )
    return operand._source() if hasattr(operand, "_source") else repr(operand)  # noqa: SLF001 - as in _comparable
