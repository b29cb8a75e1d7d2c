"""int, float, str, bool and None."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, ClassVar

from flyteform.types.family import INT64, TypeFamily, ValueMismatchError, mismatch, unexpected, unwrapped

if TYPE_CHECKING:
    from flyteidl.core import literals_pb2, types_pb2

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


class ScalarFamily(TypeFamily):
    """A type whose plain form is the value itself and whose literal is one primitive field."""

    _simple: ClassVar[str]  # of core.SimpleType
    _field: ClassVar[str]  # of core.Primitive
    _json_type: ClassVar[str]

    @property
    def name(self) -> str:
        """The name of the Python type."""
        return self.tag

    def to_plain(self, value: Any) -> Any:
        """Return the value."""
        return value

    def from_plain(self, plain: Any) -> Any:
        """Return the checked value."""
        return self.check(plain)

    def schema(self) -> dict[str, Any]:
        """Return the JSON type."""
        return {"type": self._json_type}

    def literal_type(self) -> types_pb2.LiteralType:
        """Return the simple type."""
        from flyteidl.core import types_pb2

        return types_pb2.LiteralType(simple=self._simple)

    def fill(self, literal: literals_pb2.Literal, value: Any) -> None:
        """Write the primitive."""
        setattr(literal.scalar.primitive, self._field, value)

    def read(self, literal: literals_pb2.Literal) -> Any:
        """Return the primitive's value."""
        primitive = literal.scalar.primitive
        if primitive.WhichOneof("value") != self._field:
            raise unexpected(self.name, literal)
        return getattr(primitive, self._field)

    def accepts(self, source: TypeFamily) -> bool:
        """Accept the same scalar."""
        return type(source) is type(self)


class IntFamily(ScalarFamily):
    """Integers of 64 bits."""

    tag = "int"
    _simple = "INTEGER"
    _field = "integer"
    _json_type = "integer"

    def check(self, value: Any) -> int:
        """Accept whole numbers (not bool) that fit 64 bits."""
        value = unwrapped(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise mismatch("int", value)
        if value not in INT64:
            raise ValueMismatchError("the int given does not fit 64 bits", remedy="pass it as str")
        return operator.index(value)

    def from_plain(self, plain: Any) -> int:
        """Accept whole floats too: a protobuf Struct has no integers."""
        if isinstance(plain, float) and plain.is_integer():
            plain = int(plain)
        return self.check(plain)

    def parse(self, text: str) -> int:
        """Read decimal digits."""
        try:
            return self.check(int(text))
        except ValueError as error:
            raise ValueMismatchError(f"expected int, got {text!r}") from error


class FloatFamily(ScalarFamily):
    """Floating-point numbers of 64 bits, infinities and NaN included."""

    tag = "float"
    _simple = "FLOAT"
    _field = "float_value"
    _json_type = "number"

    def check(self, value: Any) -> float:
        """Accept floats and, as Python's type checkers do, ints."""
        if type(value) is float:
            return value
        value = unwrapped(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise mismatch("float", value)
        try:
            return float(value)
        except OverflowError as error:
            raise ValueMismatchError("the int given does not fit a float") from error

    def from_plain(self, plain: Any) -> float:
        """Accept the words with which JSON text writes what it has no number for."""
        return float(plain) if plain in ("NaN", "Infinity", "-Infinity") else self.check(plain)

    def read(self, literal: literals_pb2.Literal) -> float:
        """Accept integer literals too."""
        primitive = literal.scalar.primitive
        return float(primitive.integer) if primitive.HasField("integer") else float(super().read(literal))

    def parse(self, text: str) -> float:
        """Read a decimal number."""
        try:
            return float(text)
        except ValueError as error:
            raise ValueMismatchError(f"expected float, got {text!r}") from error


class StrFamily(ScalarFamily):
    """Text that UTF-8 can carry."""

    tag = "str"
    _simple = "STRING"
    _field = "string_value"
    _json_type = "string"

    def check(self, value: Any) -> str:
        """Accept text without lone surrogates."""
        if not isinstance(value, str):
            raise mismatch("str", value)
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise ValueMismatchError(f"the str is not valid Unicode: {error.reason}") from error
        return str(value)

    def parse(self, text: str) -> str:
        """Take the text as it is."""
        return self.check(text)

    def accepts(self, source: TypeFamily) -> bool:
        """Accept enums too, whose literals are their text."""
        return super().accepts(source) or source.tag == "DefaultEnumTransformer"


class BoolFamily(ScalarFamily):
    """Truth values."""

    tag = "bool"
    _simple = "BOOLEAN"
    _field = "boolean"
    _json_type = "boolean"

    def check(self, value: Any) -> bool:
        """Accept True and False only."""
        value = unwrapped(value)
        if not isinstance(value, bool):
            raise mismatch("bool", value)
        return value

    def parse(self, text: str) -> bool:
        """Read true or false, and the usual other words."""
        word = text.lower()
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
        raise ValueMismatchError(f"expected bool (true or false), got {text!r}")


class NoneFamily(TypeFamily):
    """None, which tells that there is no value."""

    tag = "none"

    @property
    def name(self) -> str:
        """`None`."""
        return "None"

    def check(self, value: Any) -> None:
        """Accept None only."""
        if value is not None:
            raise mismatch("None", value)

    def to_plain(self, value: Any) -> None:
        """Return None."""
        return self.check(value)

    def from_plain(self, plain: Any) -> None:
        """Return None."""
        return self.check(plain)

    def schema(self) -> dict[str, Any]:
        """Return JSON's null."""
        return {"type": "null"}

    def literal_type(self) -> types_pb2.LiteralType:
        """Return the simple type NONE."""
        from flyteidl.core import types_pb2

        return types_pb2.LiteralType(simple=types_pb2.NONE)

    def fill(self, literal: literals_pb2.Literal, value: Any) -> None:
        """Write the void scalar."""
        self.check(value)
        literal.scalar.none_type.SetInParent()

    def read(self, literal: literals_pb2.Literal) -> None:
        """Return None for the void scalar."""
        if not literal.scalar.HasField("none_type"):
            raise unexpected("None", literal)

    def parse(self, text: str) -> None:
        """Read `null` or `none`."""
        if text.lower() not in ("null", "none"):
            raise mismatch("None", text)

    def accepts(self, source: TypeFamily) -> bool:
        """Accept None only."""
        return isinstance(source, NoneFamily)
