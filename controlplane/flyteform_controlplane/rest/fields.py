"""Texts of a URL into fields of a message: path variables and query parameters."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from flyteform_controlplane.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

_INTEGER = re.compile(r"[+-]?[0-9]{1,20}").fullmatch
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_WRAPPER = re.compile(r"google\.protobuf\.\w+Value").fullmatch
_FROM_JSON_STRING = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask"})


@dataclass(frozen=True, slots=True)
class FieldSetter:
    """Sets one field, maybe of a nested message, from the texts that a URL has for it."""

    name: str
    parents: tuple[str, ...]
    field: FieldDescriptor
    parse: Callable[[str], Any]

    def apply(self, message: Message, texts: Sequence[str]) -> None:
        """Set the field, a repeated one to all texts, another to the last; `InvalidArgumentError` if one is wrong."""
        target: Any = message
        for parent in self.parents:
            target = getattr(target, parent)
        try:
            values = [self.parse(text) for text in texts]
            if self.field.is_repeated:
                getattr(target, self.field.name).extend(values)
            elif self.field.message_type is not None:
                getattr(target, self.field.name).CopyFrom(values[-1])
            else:
                setattr(target, self.field.name, values[-1])
        except (ValueError, TypeError) as error:
            raise InvalidArgumentError(f"invalid value for {self.name}: {error}") from error


def setter(message: Descriptor, path: str) -> FieldSetter | None:
    """Find the field that the dotted path names, in proto or JSON spelling; None if no text can set such a field."""
    *parents, last = path.split(".")
    names: list[str] = []
    for name in parents:
        parent = _field(message, name)
        if parent is None or parent.message_type is None or parent.is_repeated:
            return None
        names.append(parent.name)
        message = parent.message_type
    field = _field(message, last)
    parse = None if field is None else _parser(field)
    return None if field is None or parse is None else FieldSetter(path, tuple(names), field, parse)


def _field(message: Descriptor, name: str) -> FieldDescriptor | None:
    found = message.fields_by_name.get(name) or message.fields_by_camelcase_name.get(name)
    return found if isinstance(found, FieldDescriptor) else None


def _parser(field: FieldDescriptor) -> Callable[[str], Any] | None:
    if field.message_type is not None:
        return _message_parser(field.message_type)
    if field.enum_type is not None:
        numbers = {value.name: value.number for value in field.enum_type.values}
        return lambda text: _enum(numbers, text)
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            return _bytes if field.type == FieldDescriptor.TYPE_BYTES else str
        case FieldDescriptor.CPPTYPE_BOOL:
            return _bool
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return float
        case _:
            return _int


def _message_parser(message: Descriptor) -> Callable[[str], Any] | None:
    kind: Any = GetMessageClass(message)
    if message.full_name in _FROM_JSON_STRING:

        def from_json(text: str) -> Any:
            value = kind()
            value.FromJsonString(text)
            return value

        return from_json
    inner = _parser(message.fields_by_name["value"]) if _WRAPPER(message.full_name) else None
    return None if inner is None else lambda text: kind(value=inner(text))


def _int(text: str) -> int:
    if not _INTEGER(text):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def _bool(text: str) -> bool:
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ValueError(f"{text!r} is neither true nor false")


def _bytes(text: str) -> bytes:
    standard = text.translate(str.maketrans("-_ ", "+/+")).rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"{text!r} is not base64") from error


def _enum(numbers: dict[str, int], text: str) -> int:
    if text in numbers:
        return numbers[text]
    if _INTEGER(text) and int(text) in numbers.values():
        return int(text)
    raise ValueError(f"{text!r} is none of {', '.join(numbers)}")
