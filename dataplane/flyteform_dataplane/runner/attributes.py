"""What an attribute path (`.field`, `[0]`, `["key"]`) on an output picks out of its literal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack  # type: ignore[import-untyped]
from flyteidl.core.literals_pb2 import Binary, Literal, LiteralCollection, LiteralMap, Primitive, Scalar, Void
from flyteidl.core.types_pb2 import SimpleType
from google.protobuf.struct_pb2 import Struct, Value

from flyteform_dataplane.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteidl.core.types_pb2 import LiteralType, PromiseAttribute

MSGPACK = "msgpack"


def pick(literal: Literal, path: Sequence[PromiseAttribute], target: LiteralType | None = None) -> Literal:
    """Follow the path; `UserError` when it leads nowhere.

    Inside a dataclass the value stays msgpack, as Flyte hands it on, unless `target` is a plain type that it fits.
    """
    for position, attribute in enumerate(path):
        match literal.WhichOneof("value"):
            case "collection":
                literal = _item(literal.collection, attribute)
            case "map":
                literal = _entry(literal.map, attribute)
            case "scalar" if literal.scalar.WhichOneof("value") == "union":
                return pick(literal.scalar.union.value, path[position:], target)
            case "scalar":
                return _inside(literal.scalar, path[position:], target)
            case _:
                raise UserError(f"an attribute {_text(attribute)} is asked of a value that has none")
    return literal


def _item(collection: LiteralCollection, attribute: PromiseAttribute) -> Literal:
    if attribute.WhichOneof("value") != "int_value":
        raise UserError(f"a list has no attribute {_text(attribute)}")
    index, size = attribute.int_value, len(collection.literals)
    if not -size <= index < size:
        raise UserError(f"index {index} is outside of a list of {size} items")
    return collection.literals[index]


def _entry(entries: LiteralMap, attribute: PromiseAttribute) -> Literal:
    if attribute.WhichOneof("value") != "string_value" or attribute.string_value not in entries.literals:
        raise UserError(f"key {_text(attribute)} is not in the map (it has {', '.join(sorted(entries.literals))})")
    return entries.literals[attribute.string_value]


def _inside(scalar: Scalar, path: Sequence[PromiseAttribute], target: LiteralType | None) -> Literal:
    match scalar.WhichOneof("value"):
        case "binary" if scalar.binary.tag in (MSGPACK, ""):
            value = _follow(msgpack.unpackb(scalar.binary.value, strict_map_key=False), path)
            plain = _as_type(value, target)
            return plain if plain is not None else _msgpack_literal(value)
        case "generic":
            value = _follow(_from_struct(Value(struct_value=scalar.generic)), path)
            plain = _as_type(value, target)
            return plain if plain is not None else struct_literal(value)
        case kind:
            raise UserError(f"an attribute {_text(path[0])} is asked of a {kind} value, which has none")


def _follow(value: Any, path: Sequence[PromiseAttribute]) -> Any:
    for attribute in path:
        key = attribute.string_value if attribute.WhichOneof("value") == "string_value" else attribute.int_value
        # A string is indexable too, but no attribute means a letter of it.
        items: Any = value if isinstance(value, dict | list) else {}
        try:
            value = items[key]
        except (KeyError, IndexError, TypeError) as error:
            raise UserError(f"the value has no attribute {_text(attribute)}") from error
    return value


def _as_type(value: object, target: LiteralType | None) -> Literal | None:
    """Return the value as a primitive when the place it goes to is of that plain type."""
    if target is None or target.WhichOneof("type") != "simple" or isinstance(value, dict | list):
        return None
    primitive: Primitive | None = None
    match target.simple, value:
        case SimpleType.BOOLEAN, bool():
            primitive = Primitive(boolean=value)
        case SimpleType.INTEGER, int() | float() if float(value).is_integer():
            primitive = Primitive(integer=int(value))
        case SimpleType.FLOAT, int() | float():
            primitive = Primitive(float_value=float(value))
        case SimpleType.STRING, str():
            primitive = Primitive(string_value=value)
        case _:
            pass
    return None if primitive is None else Literal(scalar=Scalar(primitive=primitive))


def _msgpack_literal(value: object) -> Literal:
    if isinstance(value, list):  # Flyte hands lists on as collections, so that arrays can map over them
        return Literal(collection=LiteralCollection(literals=[_msgpack_item(item) for item in value]))
    return _msgpack_item(value)


def _msgpack_item(value: object) -> Literal:
    return Literal(scalar=Scalar(binary=Binary(value=msgpack.packb(value), tag=MSGPACK)))


def _from_struct(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "struct_value":
            return {key: _from_struct(item) for key, item in value.struct_value.fields.items()}
        case "list_value":
            return [_from_struct(item) for item in value.list_value.values]
        case "number_value":
            return int(value.number_value) if value.number_value.is_integer() else value.number_value
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case _:
            return None


def struct_literal(value: Any) -> Literal:
    """Return what a Struct holds as the literal of its own kind."""
    if isinstance(value, list):
        return Literal(collection=LiteralCollection(literals=[struct_literal(item) for item in value]))
    if isinstance(value, dict):
        generic = Struct()
        generic.update(value)
        return Literal(scalar=Scalar(generic=generic))
    match value:
        case bool():
            primitive = Primitive(boolean=value)
        case int():
            primitive = Primitive(integer=value)
        case float():
            primitive = Primitive(float_value=value)
        case str():
            primitive = Primitive(string_value=value)
        case _:
            return Literal(scalar=Scalar(none_type=Void()))
    return Literal(scalar=Scalar(primitive=primitive))


def _text(attribute: PromiseAttribute) -> str:
    if attribute.WhichOneof("value") == "string_value":
        return repr(attribute.string_value)
    return f"[{attribute.int_value}]"
