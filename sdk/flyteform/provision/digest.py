"""Versions: a digest over a normal form in which no project, domain, URL or release number appears."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from typing import TYPE_CHECKING, Any

from google.protobuf import wrappers_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from google.protobuf.message import Message

_LEFT_OUT = frozenset(
    {
        ("flyteidl.core.Identifier", "project"),
        ("flyteidl.core.Identifier", "domain"),
        ("flyteidl.core.Identifier", "org"),
        ("flyteidl.core.RuntimeMetadata", "version"),
    }
)
_WIDE = frozenset({FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64})
VERSION_LENGTH = 24  # characters of base32: 120 bits


def version_of(spec: Message, code: Mapping[str, str] | None = None) -> str:
    """Return the version of an entity from its spec and, for a task, the digests of the modules that it can reach.

    References to other entities count with name and version, and their versions are digests in turn.
    """
    form = {"kind": spec.DESCRIPTOR.name, "spec": _normal(spec), "code": dict(code or {})}
    text = json.dumps(form, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    digest = hashlib.sha256(text.encode()).digest()
    return base64.b32encode(digest).decode().lower()[:VERSION_LENGTH]


def _normal(message: Message) -> object:
    """Return a message as JSON values, as protobuf's own JSON has them, in a fraction of its time.

    Where an entity is registered and which SDK release wrote it are left out: neither alters what it does.
    """
    if _is_well_known(message.DESCRIPTOR):
        return MessageToDict(message, preserving_proto_field_name=True)
    form = {}
    for field, value in message.ListFields():
        writer = _writer(field)
        if writer is not None:
            form[field.name] = writer(value)
    return form


@cache
def _is_well_known(descriptor: Descriptor) -> bool:
    return descriptor.full_name.startswith("google.protobuf.")


@cache
def _writer(field: FieldDescriptor) -> Callable[[Any], object] | None:
    """Return what turns a field's value into JSON values, None for what is left out."""
    owner = field.containing_type
    if owner is not None and (owner.full_name, field.name) in _LEFT_OUT:
        return None
    described = field.message_type
    if described is not None and described.GetOptions().map_entry:
        inner = _writer(described.fields_by_name["value"])
        return lambda value: {_key(key): inner(each) if inner else None for key, each in value.items()}
    one = _normal if described is not None else _scalar_writer(field)
    return (lambda value: [one(each) for each in value]) if _is_repeated(field) else one


def _is_repeated(field: Any) -> bool:
    # Later releases of protobuf have the first, former ones the second.
    return bool(field.is_repeated) if hasattr(field, "is_repeated") else bool(field.label == field.LABEL_REPEATED)


def _key(key: object) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _scalar_writer(field: FieldDescriptor) -> Callable[[Any], object]:
    if field.enum_type is not None:
        names = {number: value.name for number, value in field.enum_type.values_by_number.items()}
        return lambda value: names.get(value, value)
    if field.cpp_type in _WIDE:
        return str
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda value: base64.b64encode(value).decode()
    # What JSON has no number for, and how many digits count, is by protobuf's rules.
    if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT:
        return lambda value: MessageToDict(wrappers_pb2.FloatValue(value=value))
    if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        return lambda value: MessageToDict(wrappers_pb2.DoubleValue(value=value))
    return lambda value: value


def messages_in(message: Message) -> Iterator[Message]:
    """Yield a message and all messages inside it, at any depth."""
    yield message
    for part in _parts(message):
        yield from messages_in(part)


def _parts(message: Message) -> Iterable[Message]:
    """Yield the messages inside a message."""
    for field, value in message.ListFields():
        described = field.message_type
        if described is None:
            continue
        if described.GetOptions().map_entry:
            if described.fields_by_name["value"].message_type is not None:
                yield from value.values()
        elif hasattr(value, "DESCRIPTOR"):
            yield value
        else:
            yield from value
