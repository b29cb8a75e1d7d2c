"""Python values as Flyte literals, and back: the functions that everybody uses.

Importing this package loads neither protobuf nor flyteidl; the functions that return messages do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyteform.types.family import ValueMismatchError
from flyteform.types.registry import family_of, type_name

if TYPE_CHECKING:
    from flyteidl.core import literals_pb2, types_pb2

__all__ = [
    "ValueMismatchError",
    "assignable",
    "check",
    "from_plain",
    "guess_python",
    "literal_type",
    "parse_text",
    "to_literal",
    "to_plain",
    "to_python",
    "type_name",
    "type_text",
]


def check(value: Any, python_type: Any) -> Any:
    """Return the value as a task would receive it, or raise `ValueMismatchError` with the part that does not fit."""
    return family_of(python_type).check(value)


def to_literal(value: Any, python_type: Any) -> literals_pb2.Literal:
    """Return the literal of a value, which is checked first."""
    family = family_of(python_type)
    return family.to_literal(family.check(value))


def to_python(literal: literals_pb2.Literal, python_type: Any) -> Any:
    """Return the value of a literal that any Flyte client may have written for that type."""
    return family_of(python_type).to_python(literal)


def literal_type(python_type: Any) -> types_pb2.LiteralType:
    """Return Flyte's type of a Python type."""
    return family_of(python_type).literal_type()


def parse_text(text: str, python_type: Any) -> Any:
    """Return the value that a person typed: JSON for lists, dicts, dataclasses and models."""
    family = family_of(python_type)
    return family.check(family.parse(text))


def to_plain(value: Any, python_type: Any) -> Any:
    """Return a value's JSON-like form."""
    family = family_of(python_type)
    return family.to_plain(family.check(value))


def from_plain(plain: Any, python_type: Any) -> Any:
    """Return the value that a JSON-like form stands for."""
    return family_of(python_type).from_plain(plain)


def guess_python(literal: literals_pb2.Literal, literal_type: types_pb2.LiteralType | None = None) -> Any:
    """Return the value of a literal whose Python type is not known: structs as dict, blobs as their URI."""
    from flyteform.types.guess import guess_python as guess

    return guess(literal, literal_type)


def assignable(source: Any, target: Any) -> bool:
    """Tell whether an output of type `source` may be bound to an input of type `target`, as Flyte's compiler judges."""
    return family_of(target).accepts(family_of(source))


def type_text(python_type: Any) -> str:
    """Return a short name of a supported type."""
    return family_of(python_type).name
