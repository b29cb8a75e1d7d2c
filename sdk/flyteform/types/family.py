"""What every type family can do: check, carry, describe and parse values of one Python type."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from flyteform.errors import TypeMismatchError

if TYPE_CHECKING:
    from flyteidl.core import literals_pb2, types_pb2

MSGPACK = "msgpack"  # the tag that Flyte's binary literals bear
INT64 = range(-(2**63), 2**63)  # integers that a literal can hold
_SHOWN = 60  # characters of a value in an error message


class ValueMismatchError(TypeMismatchError):
    """A value, or a part of it at `path` (`[3].name`), is not of the type that it has to be of."""

    def __init__(self, problem: str, *, path: str = "", remedy: str | None = None) -> None:
        super().__init__(f"{path}: {problem}" if path else problem, remedy=remedy)
        self.problem = problem
        self.path = path

    def inside(self, step: str) -> ValueMismatchError:
        """Return the same error as seen from the value that holds this one at `step`."""
        return ValueMismatchError(self.problem, path=step + self.path, remedy=self.remedy)


def mismatch(expected: str, value: object) -> ValueMismatchError:
    """Return the error that says what was expected and what came."""
    return ValueMismatchError(f"expected {expected}, got {describe(value)}")


def describe(value: object) -> str:
    """Return the type of a value and a short form of it, for messages."""
    if value is None:
        return "None"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a class of the user's may fail here, and so do ints of thousands of digits
        return type(value).__name__
    shown = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return f"{type(value).__name__} {shown}"


def unwrapped(value: Any) -> Any:
    """Return the plain Python number in a NumPy scalar; any other value as it is."""
    if type(value).__module__.partition(".")[0] == "numpy" and getattr(value, "shape", None) == ():
        return value.item()
    return value


class TypeFamily(ABC):
    """How values of one Python type are checked, carried as Flyte literals, and written as text.

    Three forms of a value: the Python value that tasks see; the *plain* value, made of None, bool, int, float,
    str, list and dict only, which is what JSON text and Flyte's binary literals hold; and the `core.Literal`.
    All methods raise `ValueMismatchError` for a value that does not fit.
    """

    tag: ClassVar[str]  # the name by which Flyte tells the variants of a union apart

    @property
    @abstractmethod
    def name(self) -> str:
        """How a person would write the type."""

    @abstractmethod
    def check(self, value: Any) -> Any:
        """Return the value as the next task would receive it: checked, normalised, sharing nothing mutable."""

    @abstractmethod
    def to_plain(self, value: Any) -> Any:
        """Return the plain form of a checked value."""

    @abstractmethod
    def from_plain(self, plain: Any) -> Any:
        """Return the value that a plain form stands for."""

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of the plain form."""

    @abstractmethod
    def literal_type(self) -> types_pb2.LiteralType:
        """Return Flyte's type."""

    @abstractmethod
    def fill(self, literal: literals_pb2.Literal, value: Any) -> None:
        """Write a checked value into an empty literal: in place, as copying messages is what costs time."""

    def to_literal(self, value: Any) -> literals_pb2.Literal:
        """Return the literal of a checked value."""
        from flyteidl.core import literals_pb2

        literal = literals_pb2.Literal()
        self.fill(literal, value)
        return literal

    @abstractmethod
    def read(self, literal: literals_pb2.Literal) -> Any:
        """Return the value of a literal of this family's own kind."""

    @abstractmethod
    def accepts(self, source: TypeFamily) -> bool:
        """Tell whether a promise of type `source` may be bound to an input of this type."""

    def parse(self, text: str) -> Any:
        """Return the value that a person typed on a command line: JSON unless the family knows better."""
        try:
            plain = json.loads(text)
        except ValueError as error:
            raise ValueMismatchError(f"expected {self.name} as JSON, got {text!r}: {error}") from error
        return self.from_plain(plain)

    def to_python(self, literal: literals_pb2.Literal) -> Any:
        """Return the value of any literal that a Flyte client or task may have written for this type."""
        scalar = literal.scalar
        match scalar.WhichOneof("value") if literal.HasField("scalar") else None:
            case "binary" if scalar.binary.tag == MSGPACK:
                return self.from_plain(unpack(scalar.binary.value))
            case "generic":
                return self.from_plain(struct_to_plain(scalar.generic))
            case "union":
                return self.to_python(scalar.union.value)
            case _:
                return self.read(literal)


def pack(literal: literals_pb2.Literal, plain: Any) -> None:
    """Write a plain value into a literal, as binary."""
    import msgpack  # type: ignore[import-untyped]

    binary = literal.scalar.binary
    binary.value = msgpack.packb(plain)
    binary.tag = MSGPACK


def unpack(data: bytes) -> Any:
    """Return the plain value of a binary literal's bytes."""
    import msgpack

    try:
        return msgpack.unpackb(data, strict_map_key=False)
    except ValueError as error:
        raise ValueMismatchError(f"a binary literal is not valid msgpack: {error}") from error


def struct_to_plain(struct: Any) -> Any:
    """Return the plain value of a protobuf Struct, whose numbers are all floats."""
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(struct)


def unexpected(expected: str, literal: literals_pb2.Literal) -> ValueMismatchError:
    """Return the error for a literal of another kind than the family's."""
    kind = literal.WhichOneof("value") or "empty"
    if kind == "scalar":
        kind = literal.scalar.WhichOneof("value") or "empty"
    if kind == "primitive":
        kind = literal.scalar.primitive.WhichOneof("value") or "empty"
    return ValueMismatchError(f"expected {expected}, got a literal of kind {kind}")
