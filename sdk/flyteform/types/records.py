"""Dataclasses: a msgpack map in a binary literal, described by a JSON schema, as Flyte's own SDK carries them."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from flyteform.errors import DefinitionError
from flyteform.types.family import TypeFamily, ValueMismatchError, mismatch, pack, unexpected
from flyteform.types.plain import PlainDictFamily

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flyteidl.core import literals_pb2, types_pb2


class StructFamily(TypeFamily):
    """A class with typed fields; subclasses know one library of such classes."""

    cls: type

    @property
    def name(self) -> str:
        """The class's name."""
        return self.cls.__name__

    @property
    @abstractmethod
    def fields(self) -> Mapping[str, TypeFamily]:
        """The families of the fields, in the order in which they were declared."""

    def literal_type(self) -> types_pb2.LiteralType:
        """Return the type STRUCT with the schema and, for attribute access at run time, the types of the fields."""
        from flyteidl.core import types_pb2

        literal_type = types_pb2.LiteralType(simple=types_pb2.STRUCT)
        literal_type.metadata.update(self.schema())
        literal_type.annotation.annotations.update({"cache-key-metadata": {"serialization-format": "msgpack"}})
        for name, family in self.fields.items():
            literal_type.structure.dataclass_type[name].CopyFrom(family.literal_type())
        return literal_type

    def fill(self, literal: literals_pb2.Literal, value: Any) -> None:
        """Write the binary literal."""
        pack(literal, self.to_plain(value))

    def read(self, literal: literals_pb2.Literal) -> Any:
        """Refuse: every literal of this type is binary or generic."""
        raise unexpected(self.name, literal)

    def accepts(self, source: TypeFamily) -> bool:
        """Accept the same class, and a bare dict, which is checked when its value is known."""
        return isinstance(source, PlainDictFamily) or (isinstance(source, StructFamily) and source.cls is self.cls)


class DataclassFamily(StructFamily):
    """One dataclass."""

    tag = "Object-Dataclass-Transformer"

    def __init__(self, cls: type, of: Callable[[Any], TypeFamily]) -> None:
        """Find the families of the fields with `of`."""
        self.cls = cls
        self._fields = {}
        hints = _hints(cls)
        for field in dataclasses.fields(cls):
            try:
                self._fields[field.name] = of(hints[field.name])
            except DefinitionError as error:
                raise DefinitionError(f"{cls.__name__}.{field.name}: {error.message}", remedy=error.remedy) from error

    @property
    def fields(self) -> Mapping[str, TypeFamily]:
        """The families of the fields."""
        return self._fields

    def check(self, value: Any) -> Any:
        """Return a copy whose fields are checked."""
        if not isinstance(value, self.cls):
            raise mismatch(self.name, value)
        return self._build({name: self._convert(name, f.check, getattr(value, name)) for name, f in self._items()})

    def to_plain(self, value: Any) -> dict[str, Any]:
        """Return the plain fields by name."""
        return {name: self._convert(name, f.to_plain, getattr(value, name)) for name, f in self._items()}

    def from_plain(self, plain: Any) -> Any:
        """Return the instance; absent fields take their defaults, and unknown names are left out."""
        if not isinstance(plain, dict):
            raise mismatch(f"{self.name} as a map of its fields", plain)
        return self._build({n: self._convert(n, f.from_plain, plain[n]) for n, f in self._items() if n in plain})

    def parse(self, text: str) -> Any:
        """Read a JSON object; a name that is no field is an error, as it must be a slip."""
        plain = PlainDictFamily().parse(text)
        for key in plain:
            if key not in self._fields:
                near = difflib.get_close_matches(key, self._fields, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(self._fields)}"
                raise ValueMismatchError(f"{self.name} has no field {key!r}{hint}")
        return self.from_plain(plain)

    def schema(self) -> dict[str, Any]:
        """Return the schema of an object with these fields."""
        required = [field.name for field in dataclasses.fields(self.cls) if not _has_default(field)]
        return {
            "type": "object",
            "title": self.cls.__name__,
            "properties": {name: family.schema() for name, family in self._items()},
            "additionalProperties": False,
            **({"required": required} if required else {}),
        }

    def _items(self) -> typing.ItemsView[str, TypeFamily]:
        return self._fields.items()

    @staticmethod
    def _convert(name: str, convert: Callable[[Any], Any], value: Any) -> Any:
        try:
            return convert(value)
        except ValueMismatchError as error:
            raise error.inside(f".{name}") from error.__cause__

    def _build(self, values: dict[str, Any]) -> Any:
        fields = dataclasses.fields(self.cls)
        missing = [f.name for f in fields if f.init and f.name not in values and not _has_default(f)]
        if missing:
            raise ValueMismatchError(f"the field {missing[0]!r} of {self.name} is missing")
        try:
            instance = self.cls(
                **{field.name: values[field.name] for field in fields if field.init and field.name in values}
            )
        except (TypeError, ValueError) as error:
            raise ValueMismatchError(f"{self.name} refused its fields: {error}") from error
        for field in fields:
            if not field.init and field.name in values:
                object.__setattr__(instance, field.name, values[field.name])
        return instance


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except NameError as error:
        raise DefinitionError(
            f"the dataclass {cls.__name__} has an annotation that is not defined: {error}",
            remedy="define the type at module level, outside of functions and TYPE_CHECKING",
        ) from error
