"""Versions: a digest over a normal form in which no project, domain, URL or release number appears."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING

from flyteidl.core.identifier_pb2 import Identifier
from flyteidl.core.tasks_pb2 import RuntimeMetadata
from google.protobuf.json_format import MessageToDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from google.protobuf.message import Message

VERSION_LENGTH = 24  # characters of base32: 120 bits


def version_of(spec: Message, code: Mapping[str, str] | None = None) -> str:
    """Return the version of an entity from its spec and, for a task, the digests of the modules that it can reach.

    References to other entities count with name and version, and their versions are digests in turn.
    """
    normal = type(spec)()
    normal.CopyFrom(spec)
    _normalise(normal)
    form = {
        "kind": spec.DESCRIPTOR.name,
        "spec": MessageToDict(normal, preserving_proto_field_name=True),
        "code": dict(code or {}),
    }
    text = json.dumps(form, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    digest = hashlib.sha256(text.encode()).digest()
    return base64.b32encode(digest).decode().lower()[:VERSION_LENGTH]


def _normalise(message: Message) -> None:
    """Take out where an entity is registered and which SDK release wrote it: neither alters what it does."""
    if isinstance(message, Identifier):
        for name in ("project", "domain", "org"):
            message.ClearField(name)
        return
    if isinstance(message, RuntimeMetadata):
        message.ClearField("version")
        return
    for part in _parts(message):
        _normalise(part)


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
