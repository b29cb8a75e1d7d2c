"""Messages as one line of text, in the form that Flyte prints inside its compile errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flyteidl.core import types_pb2
from google.protobuf.descriptor import FieldDescriptor

if TYPE_CHECKING:
    from google.protobuf.message import Message


def one_line(message: Message) -> str:
    """Render like `simple:INTEGER structure:{tag:"int"}`: fields by number, maps as key and value pairs."""
    return " ".join(part for field, value in message.ListFields() for part in _field(field, value))


def literal_type(message: types_pb2.LiteralType) -> str:
    """Render a type for people; a dataclass shows its fields instead of its whole JSON schema."""
    if message.WhichOneof("type") != "simple" or message.simple != types_pb2.STRUCT:
        return one_line(message)
    fields = sorted(message.structure.dataclass_type.items())
    inner = ", ".join(f"dataclass_type:{{key:{name} value:{{{literal_type(kind)}}}" for name, kind in fields)
    return f"Simple: STRUCT structure{{{inner}}}"


def _field(field: FieldDescriptor, value: Any) -> list[str]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        entry = field.message_type.fields_by_name
        return [
            f"{field.name}:{{key:{_scalar(entry['key'], key)} value:{_scalar(entry['value'], value[key])}}}"
            for key in sorted(value)
        ]
    values = value if field.is_repeated else [value]
    return [f"{field.name}:{_scalar(field, item)}" for item in values]


def _scalar(field: FieldDescriptor, value: Any) -> str:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_MESSAGE:
            return f"{{{one_line(value)}}}"
        case FieldDescriptor.CPPTYPE_ENUM:
            known = field.enum_type.values_by_number if field.enum_type else {}
            return known[value].name if value in known else str(value)
        case FieldDescriptor.CPPTYPE_BOOL:
            return "true" if value else "false"
        case FieldDescriptor.CPPTYPE_STRING:
            text = value.decode("latin-1") if isinstance(value, bytes) else value
            return json.dumps(text, ensure_ascii=False)
        case _:
            return str(value)
