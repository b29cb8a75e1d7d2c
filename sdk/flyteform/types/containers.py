"""list[T] and dict[str, T]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyteform.types.family import TypeFamily, ValueMismatchError, mismatch, unexpected
from flyteform.types.plain import AnyFamily

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from flyteidl.core import literals_pb2, types_pb2


class ListFamily(TypeFamily):
    """Lists whose items are all of one type; a bare `list` holds any JSON-like values."""

    tag = "Typed List"

    def __init__(self, item: TypeFamily) -> None:
        """Hold the family of the items."""
        self.item = item

    @property
    def name(self) -> str:
        """`list[T]`, or `list` when its items may be anything."""
        return "list" if isinstance(self.item, AnyFamily) else f"list[{self.item.name}]"

    def check(self, value: Any) -> list[Any]:
        """Accept lists only: a tuple or a set would come out as another type than it went in."""
        if not isinstance(value, list):
            raise _not_a_list(self.name, value)
        return _each(self.item.check, value)

    def to_plain(self, value: list[Any]) -> list[Any]:
        """Return the plain items."""
        return _each(self.item.to_plain, value)

    def from_plain(self, plain: Any) -> list[Any]:
        """Return the items."""
        if not isinstance(plain, list):
            raise _not_a_list(self.name, plain)
        return _each(self.item.from_plain, plain)

    def schema(self) -> dict[str, Any]:
        """Return the schema of an array."""
        return {"type": "array", "items": self.item.schema()}

    def literal_type(self) -> types_pb2.LiteralType:
        """Return the collection type."""
        from flyteidl.core import types_pb2

        return types_pb2.LiteralType(collection_type=self.item.literal_type())

    def fill(self, literal: literals_pb2.Literal, value: list[Any]) -> None:
        """Write the collection."""
        literal.collection.SetInParent()  # an empty list is a collection too
        add, fill = literal.collection.literals.add, self.item.fill
        for item in value:
            fill(add(), item)

    def read(self, literal: literals_pb2.Literal) -> list[Any]:
        """Return the items of a collection."""
        if not literal.HasField("collection"):
            raise unexpected(self.name, literal)
        return _each(self.item.to_python, literal.collection.literals)

    def accepts(self, source: TypeFamily) -> bool:
        """Accept lists whose items fit."""
        return isinstance(source, ListFamily) and self.item.accepts(source.item)


class MapFamily(TypeFamily):
    """Dictionaries from str to values that are all of one type."""

    tag = "Typed Dict"

    def __init__(self, item: TypeFamily) -> None:
        """Hold the family of the values."""
        self.item = item

    @property
    def name(self) -> str:
        """`dict[str, T]`."""
        return f"dict[str, {self.item.name}]"

    def check(self, value: Any) -> dict[str, Any]:
        """Accept dictionaries with str keys."""
        if not isinstance(value, dict):
            raise mismatch(self.name, value)
        for key in value:
            if not isinstance(key, str):
                raise ValueMismatchError(f"expected keys of type str, got {key!r}")
        return _each_value(self.item.check, dict(sorted(value.items())))  # the order in which literals are read

    def to_plain(self, value: dict[str, Any]) -> dict[str, Any]:
        """Return the plain values."""
        return _each_value(self.item.to_plain, value)

    def from_plain(self, plain: Any) -> dict[str, Any]:
        """Return the values."""
        if not isinstance(plain, dict):
            raise mismatch(self.name, plain)
        return _each_value(self.item.from_plain, dict(sorted(plain.items())))

    def schema(self) -> dict[str, Any]:
        """Return the schema of an object with any names."""
        return {"type": "object", "additionalProperties": self.item.schema()}

    def literal_type(self) -> types_pb2.LiteralType:
        """Return the map type."""
        from flyteidl.core import types_pb2

        return types_pb2.LiteralType(map_value_type=self.item.literal_type())

    def fill(self, literal: literals_pb2.Literal, value: dict[str, Any]) -> None:
        """Write the map."""
        literal.map.SetInParent()  # an empty dict is a map too
        for key, item in value.items():
            self.item.fill(literal.map.literals[key], item)

    def read(self, literal: literals_pb2.Literal) -> dict[str, Any]:
        """Return the values of a map, in order of key: protobuf keeps none."""
        if not literal.HasField("map"):
            raise unexpected(self.name, literal)
        return _each_value(self.item.to_python, dict(sorted(literal.map.literals.items())))

    def accepts(self, source: TypeFamily) -> bool:
        """Accept maps whose values fit."""
        return isinstance(source, MapFamily) and self.item.accepts(source.item)


def _not_a_list(expected: str, value: object) -> ValueMismatchError:
    error = mismatch(expected, value)
    if hasattr(value, "__iter__") and not isinstance(value, (str, bytes, dict)):
        how = "value.tolist()" if hasattr(value, "tolist") else "list(value)"
        error.remedy = f"turn it into a list: {how}"
    return error


def _each(convert: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    done: list[Any] = []
    try:
        for item in items:
            done.append(convert(item))  # noqa: PERF401 - the number of items done is the failing index
    except ValueMismatchError as error:
        raise error.inside(f"[{len(done)}]") from error.__cause__
    return done


def _each_value(convert: Callable[[Any], Any], items: Mapping[str, Any]) -> dict[str, Any]:
    done: dict[str, Any] = {}
    for key, item in items.items():
        try:
            done[key] = convert(item)
        except ValueMismatchError as error:
            raise error.inside(f"[{key!r}]") from error.__cause__
    return done
