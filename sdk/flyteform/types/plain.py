"""Values without a declared type: `Any` and the bare `dict`, which hold what JSON can hold.

They travel as msgpack in a binary literal of Flyte type STRUCT, so that ints stay ints and floats floats.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flyteform.types.family import (
    INT64,
    TypeFamily,
    ValueMismatchError,
    mismatch,
    pack,
    unwrapped,
)

if TYPE_CHECKING:
    from flyteidl.core import literals_pb2, types_pb2

_CARRIED = "None, bool, int, float, str, list and dict"
_DEEPEST = 200  # levels: msgpack and protobuf readers elsewhere stop not far beyond


def plain_copy(value: Any, depth: int = 0) -> Any:
    """Return a deep copy of a JSON-like value; a `ValueMismatchError` names the part that is none."""
    if value is None or type(value) in (bool, float):
        return value
    if depth > _DEEPEST:
        raise ValueMismatchError(f"the value is nested deeper than {_DEEPEST} levels, or contains itself")
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return [_inside(f"[{index}]", item, depth) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {_key(key): _inside(f"[{key!r}]", item, depth) for key, item in value.items()}
    return _number(unwrapped(value))


def _inside(step: str, item: Any, depth: int) -> Any:
    try:
        return plain_copy(item, depth + 1)
    except ValueMismatchError as error:
        raise error.inside(step) from error.__cause__


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueMismatchError(f"the str is not valid Unicode: {error.reason}") from error
    return str(value)


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise ValueMismatchError(f"expected keys of type str, got {key!r}")
    return _text(key)


def _number(value: Any) -> Any:
    if isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        if value not in INT64:
            raise ValueMismatchError("an int does not fit 64 bits", remedy="pass it as str")
        return int(value)
    error = ValueMismatchError(f"a value of type {type(value).__qualname__} cannot be carried without a declared type")
    how = (
        "turn it into a list with .tolist()" if hasattr(value, "tolist") else "annotate it, for example as a dataclass"
    )
    error.remedy = f"{how}; without a declared type only {_CARRIED} can be carried"
    raise error


class AnyFamily(TypeFamily):
    """Any JSON-like value."""

    tag = "Typed Dict"  # Flyte has no name for it; a bare dict is what its clients would make of the literal

    @property
    def name(self) -> str:
        """`Any`."""
        return "Any"

    def check(self, value: Any) -> Any:
        """Return a deep copy."""
        return plain_copy(value)

    def to_plain(self, value: Any) -> Any:
        """Return the value."""
        return value

    def from_plain(self, plain: Any) -> Any:
        """Return a deep copy."""
        return self.check(plain)

    def schema(self) -> dict[str, Any]:
        """Return the schema that allows all."""
        return {}

    def literal_type(self) -> types_pb2.LiteralType:
        """Return the type STRUCT without a schema."""
        from flyteidl.core import types_pb2

        return types_pb2.LiteralType(simple=types_pb2.STRUCT)

    def fill(self, literal: literals_pb2.Literal, value: Any) -> None:
        """Write the binary literal."""
        pack(literal, value)

    def read(self, literal: literals_pb2.Literal) -> Any:
        """Read any literal: the engine hands parts of a dataclass on as primitives and collections."""
        from flyteform.types.guess import guess_python

        return self.check(guess_python(literal))

    def accepts(self, source: TypeFamily) -> bool:
        """Accept what travels as a STRUCT: untyped values, dataclasses and models."""
        return isinstance(source, AnyFamily) or source.tag in ("Object-Dataclass-Transformer", "Pydantic Transformer")

    def parse(self, text: str) -> Any:
        """Read JSON."""
        try:
            return self.check(json.loads(text))
        except ValueError as error:
            raise ValueMismatchError(f"expected {self.name} as JSON, got {text!r}: {error}") from error


class PlainDictFamily(AnyFamily):
    """A bare `dict`: str keys, JSON-like values."""

    @property
    def name(self) -> str:
        """`dict`."""
        return "dict"

    def check(self, value: Any) -> Any:
        """Return a deep copy of a dictionary."""
        if not isinstance(value, dict):
            raise mismatch("dict", value)
        return plain_copy(value)

    def schema(self) -> dict[str, Any]:
        """Return the schema of an object."""
        return {"type": "object"}
