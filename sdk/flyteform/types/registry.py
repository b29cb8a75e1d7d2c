"""From a Python annotation to the family that carries its values."""

from __future__ import annotations

import dataclasses
import enum
import sys
import types
import typing
from datetime import date, datetime, timedelta
from typing import Any

from flyteform.errors import DefinitionError
from flyteform.types.containers import ListFamily, MapFamily
from flyteform.types.enums import EnumFamily
from flyteform.types.errors import ErrorFamily, FlyteError
from flyteform.types.plain import AnyFamily, PlainDictFamily
from flyteform.types.records import DataclassFamily
from flyteform.types.scalars import BoolFamily, FloatFamily, IntFamily, NoneFamily, StrFamily
from flyteform.types.times import DateFamily, DatetimeFamily, TimedeltaFamily
from flyteform.types.unions import UnionFamily

if typing.TYPE_CHECKING:
    from flyteform.types.family import TypeFamily

_SIMPLE: dict[Any, TypeFamily] = {
    int: IntFamily(),
    float: FloatFamily(),
    str: StrFamily(),
    bool: BoolFamily(),
    None: NoneFamily(),
    type(None): NoneFamily(),
    datetime: DatetimeFamily(),
    date: DateFamily(),
    timedelta: TimedeltaFamily(),
    FlyteError: ErrorFamily(),
    Any: AnyFamily(),
    object: AnyFamily(),
    list: ListFamily(AnyFamily()),
    typing.List: ListFamily(AnyFamily()),  # noqa: UP006 - users write it so
    dict: PlainDictFamily(),
    typing.Dict: PlainDictFamily(),  # noqa: UP006 - users write it so
}
_INSTEAD = {  # what to say for types that users try first
    tuple: "use list[T], or a NamedTuple as the return annotation for several outputs",
    set: "use list[T]",
    frozenset: "use list[T]",
    bytes: "use str, for example with base64",
}
_known: dict[type, TypeFamily] = {}
_building: list[type] = []


def family_of(annotation: Any) -> TypeFamily:
    """Return the family of an annotation; a `DefinitionError` says what to use instead if there is none."""
    annotation = _bare(annotation)
    try:
        simple = _SIMPLE.get(annotation)
    except TypeError:  # an annotation that has no hash is none of these
        simple = None
    if simple is not None:
        return simple
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is list:
        return ListFamily(family_of(arguments[0]))
    if origin is dict:
        return _dict(arguments)
    if origin in (typing.Union, types.UnionType):
        return UnionFamily(tuple(family_of(argument) for argument in arguments))
    if isinstance(annotation, type) and origin is None:
        return _class(annotation)
    raise _unsupported(annotation, origin)


def _bare(annotation: Any) -> Any:
    """Strip Annotated, NewType and type aliases."""
    while True:
        if typing.get_origin(annotation) is typing.Annotated:
            annotation = typing.get_args(annotation)[0]
        elif isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation


def _dict(arguments: tuple[Any, ...]) -> TypeFamily:
    key, item = arguments
    if _bare(key) is not str:
        raise DefinitionError(
            f"dict[{type_name(key)}, …] cannot be carried: keys have to be str",
            remedy="use dict[str, T], or a list of dataclasses",
        )
    return MapFamily(family_of(item))


def _class(cls: type) -> TypeFamily:
    if cls in _known:
        return _known[cls]
    if cls in _building:
        raise DefinitionError(f"{cls.__name__} contains itself", remedy="use dict for the part that recurs")
    _building.append(cls)
    try:
        family = _build(cls)
    finally:
        _building.pop()
    _known[cls] = family
    return family


def _build(cls: type[Any]) -> TypeFamily:
    if issubclass(cls, enum.Enum):
        return EnumFamily(cls)
    if dataclasses.is_dataclass(cls):
        return DataclassFamily(cls, family_of)
    # A model's module has imported pydantic, so it need not be imported to recognise one.
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and issubclass(cls, pydantic.BaseModel):
        from flyteform.types.models import ModelFamily

        return ModelFamily(cls, family_of)
    raise _unsupported(cls, None)


def _unsupported(annotation: Any, origin: Any) -> DefinitionError:
    instead = _INSTEAD.get(origin or annotation, "use a dataclass, a pydantic model, list, dict, or a plain value")
    return DefinitionError(f"values of type {type_name(annotation)} cannot be carried between tasks", remedy=instead)


def type_name(annotation: Any) -> str:
    """Return an annotation as a person would write it."""
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        module = annotation.__module__
        return annotation.__qualname__ if module in ("builtins", "__main__") else f"{module}.{annotation.__qualname__}"
    return str(annotation).replace("typing.", "")


def takes(annotation: Any, cls: type) -> bool:
    """Tell whether values of a plain class are among those of an annotation, as such or in a union."""
    family = family_of(annotation)
    wanted = type(_SIMPLE[cls])
    return any(isinstance(each, wanted) for each in getattr(family, "variants", (family,)))
