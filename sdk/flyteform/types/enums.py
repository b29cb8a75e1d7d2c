"""Enums whose values are str, which is what Flyte's enum type holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyteform.errors import DefinitionError
from flyteform.types.family import TypeFamily, ValueMismatchError, unexpected
from flyteform.types.scalars import StrFamily

if TYPE_CHECKING:
    from enum import Enum

    from flyteidl.core import literals_pb2, types_pb2


class EnumFamily(TypeFamily):
    """Members of one enum, carried by their value."""

    tag = "DefaultEnumTransformer"

    def __init__(self, enum: type[Enum]) -> None:
        """Refuse enums with other values than str."""
        wrong = [member.name for member in enum if not isinstance(member.value, str)]
        if wrong or not len(enum):
            raise DefinitionError(
                f"the enum {enum.__name__} cannot be carried: " + (f"{wrong[0]} is no str" if wrong else "it is empty"),
                remedy='give every member a str value, such as RED = "red"',
            )
        self.enum = enum

    @property
    def name(self) -> str:
        """The enum's name."""
        return self.enum.__name__

    def check(self, value: Any) -> Enum:
        """Accept members, and the values of members."""
        try:
            return self.enum(value)
        except ValueError as error:
            known = ", ".join(member.value for member in self.enum)
            raise ValueMismatchError(f"expected {self.name} (one of {known}), got {value!r}") from error

    def to_plain(self, value: Enum) -> str:
        """Return the member's value."""
        return str(value.value)

    def from_plain(self, plain: Any) -> Enum:
        """Return the member with that value."""
        return self.check(plain)

    def parse(self, text: str) -> Enum:
        """Read a member's value or its name."""
        return self.enum[text] if text in self.enum.__members__ else self.check(text)

    def schema(self) -> dict[str, Any]:
        """Return the list of values."""
        return {"type": "string", "enum": [member.value for member in self.enum]}

    def literal_type(self) -> types_pb2.LiteralType:
        """Return the enum type."""
        from flyteidl.core import types_pb2

        return types_pb2.LiteralType(enum_type=types_pb2.EnumType(values=[member.value for member in self.enum]))

    def fill(self, literal: literals_pb2.Literal, value: Enum) -> None:
        """Write the member's value as text."""
        literal.scalar.primitive.string_value = value.value

    def read(self, literal: literals_pb2.Literal) -> Enum:
        """Return the member."""
        if not literal.scalar.primitive.HasField("string_value"):
            raise unexpected(self.name, literal)
        return self.check(literal.scalar.primitive.string_value)

    def accepts(self, source: TypeFamily) -> bool:
        """Accept the same enum, and str: the value is checked when it is known."""
        return isinstance(source, StrFamily) or (isinstance(source, EnumFamily) and source.enum is self.enum)
