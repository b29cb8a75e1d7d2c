"""Pydantic models: their JSON form as msgpack in a binary literal, as Flyte's own SDK carries them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flyteform.errors import DefinitionError
from flyteform.types.family import TypeFamily, ValueMismatchError, mismatch
from flyteform.types.plain import AnyFamily
from flyteform.types.records import StructFamily

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel


class ModelFamily(StructFamily):
    """One pydantic model; it checks its fields itself."""

    tag = "Pydantic Transformer"

    def __init__(self, cls: type[BaseModel], of: Callable[[Any], TypeFamily]) -> None:
        """Find the families of the fields with `of`; a field that only pydantic knows counts as untyped."""
        self.cls = cls
        self._model = cls
        self._fields = {name: _family(field.annotation, of) for name, field in cls.model_fields.items()}

    @property
    def fields(self) -> Mapping[str, TypeFamily]:
        """The families of the fields."""
        return self._fields

    def check(self, value: Any) -> Any:
        """Return a copy that went through the plain form, as a task elsewhere would receive it."""
        if not isinstance(value, self._model):
            raise mismatch(self.name, value)
        return self.from_plain(self.to_plain(value))

    def to_plain(self, value: Any) -> Any:
        """Return pydantic's JSON form."""
        try:
            return value.model_dump(mode="json")
        except ValueError as error:
            raise ValueMismatchError(f"{self.name} cannot be written as JSON: {error}") from error

    def from_plain(self, plain: Any) -> Any:
        """Return the model, validated as from JSON."""
        from pydantic import ValidationError

        try:
            return self._model.model_validate_json(json.dumps(plain))
        except ValidationError as error:
            first = error.errors()[0]
            path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"])
            raise ValueMismatchError(f"{self.name}: {first['msg']}", path=path) from error

    def schema(self) -> dict[str, Any]:
        """Return pydantic's schema."""
        return self._model.model_json_schema()


def _family(annotation: Any, of: Callable[[Any], TypeFamily]) -> TypeFamily:
    try:
        return of(annotation)
    except DefinitionError:
        return AnyFamily()
