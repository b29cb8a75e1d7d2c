"""Bodies: messages and errors as JSON with Flyte's conventions, or as raw protobuf."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from flyteidl.admin.common_pb2 import RawOutputDataConfig
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from flyteform_controlplane.errors import FailedPreconditionError, InvalidArgumentError
from flyteform_controlplane.rest.repair import showable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from flyteform_controlplane.transport.status import Status

JSON = "application/json"
OCTET_STREAM = "application/octet-stream"


class Codec(Protocol):
    """One representation of messages and errors."""

    media_type: str

    def decode(self, body: bytes, message: Message) -> None:
        """Fill the message; `InvalidArgumentError` if the body does not fit it."""
        ...

    def encode(self, message: Message) -> bytes:
        """Represent the message."""
        ...

    def error(self, status: Status) -> bytes:
        """Represent an error."""
        ...


class JsonCodec:
    """JSON: field names as in the protos, nothing left out, enums by name (contract 1.0)."""

    media_type = JSON

    def decode(self, body: bytes, message: Message) -> None:
        """Fill the message from either spelling of field names; an empty body leaves it empty."""
        try:
            text = body.decode().strip()
            # The parser would take an empty list for an empty object.
            if text and not text.startswith("{"):
                raise _unfit(message, "it has to be an object")
            if text:
                json_format.Parse(text, message)
        except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
            raise _unfit(message, error) from error

    def encode(self, message: Message) -> bytes:
        """Represent the message with its unset fields; `FailedPreconditionError` if it has what JSON cannot show."""
        with suppress(ValueError, TypeError, RecursionError, json_format.Error):
            return _dump(as_dict(message))
        try:
            # A time in the year 300000, say, in one row of a list: the others are shown all the same.
            return _dump(as_dict(showable(message)))
        except (ValueError, TypeError, RecursionError, json_format.Error) as error:
            raise FailedPreconditionError(
                f"the answer cannot be shown as JSON: {error}", remedy=f"ask with Accept: {OCTET_STREAM}"
            ) from error

    def error(self, status: Status) -> bytes:
        """Represent an error as grpc-gateway does."""
        details = [{"@type": f"type.googleapis.com/{d.DESCRIPTOR.full_name}", **as_dict(d)} for d in status.details]
        return _dump({"code": status.number, "message": status.message, "details": details})


class ProtobufCodec:
    """Raw protobuf, which FlyteConsole talks."""

    media_type = OCTET_STREAM

    def decode(self, body: bytes, message: Message) -> None:
        """Fill the message."""
        try:
            message.MergeFromString(body)
        except DecodeError as error:
            name = message.DESCRIPTOR.full_name
            raise InvalidArgumentError(f"the body is not a protobuf message {name}: {error}") from error

    def encode(self, message: Message) -> bytes:
        """Represent the message."""
        return message.SerializeToString()

    def error(self, status: Status) -> bytes:
        """Represent an error: FlyteConsole reads every error body as this message and shows its text."""
        return RawOutputDataConfig(output_location_prefix=status.message).SerializeToString()


def _unfit(message: Message, reason: object) -> InvalidArgumentError:
    return InvalidArgumentError(f"the body is not valid JSON for {message.DESCRIPTOR.full_name}: {reason}")


_JSON_CODEC, _PROTOBUF_CODEC = JsonCodec(), ProtobufCodec()


def request_codec(headers: Mapping[str, str]) -> Codec:
    """Choose by Content-Type; anything but raw protobuf is JSON, as for grpc-gateway."""
    return _PROTOBUF_CODEC if _media_types(headers.get("content-type", "")) == [OCTET_STREAM] else _JSON_CODEC


def response_codec(headers: Mapping[str, str]) -> Codec:
    """Choose by Accept, and where that leaves it open, as the request's body."""
    accepted = _media_types(headers.get("accept", ""))
    if OCTET_STREAM in accepted:
        return _PROTOBUF_CODEC
    return _JSON_CODEC if JSON in accepted else request_codec(headers)


def _media_types(header: str) -> list[str]:
    return [part.partition(";")[0].strip().lower() for part in header.split(",")]


def _dump(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def as_dict(message: Message) -> dict[str, Any]:
    """Convert to JSON values, unset fields included: as their default, and unset messages as null."""
    values: dict[str, Any] = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    _add_nulls(message, values)
    return values


def _add_nulls(message: Message, values: dict[str, Any]) -> None:
    for field in message.DESCRIPTOR.fields:
        kind = field.message_type
        if kind is None:
            continue
        if kind.GetOptions().map_entry:
            if kind.fields_by_name["value"].message_type is not None:
                for key, value in getattr(message, field.name).items():
                    _descend(value, values[field.name][_key(key)])
        elif field.is_repeated:
            for item, converted in zip(getattr(message, field.name), values[field.name], strict=True):
                _descend(item, converted)
        elif message.HasField(field.name):
            _descend(getattr(message, field.name), values[field.name])
        elif field.containing_oneof is None:
            values[field.name] = None


def _key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _descend(message: Message, values: Any) -> None:
    # Well-known types have a JSON form of their own, without fields.
    if isinstance(values, dict) and message.DESCRIPTOR.file.package != "google.protobuf":
        _add_nulls(message, values)
