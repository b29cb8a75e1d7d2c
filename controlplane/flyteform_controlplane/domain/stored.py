"""Messages that were stored as objects, which somebody or something may have damaged since."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import DecodeError, Message

from flyteform_controlplane.errors import MissingEntityError

if TYPE_CHECKING:
    M = TypeVar("M", bound=Message)


def decoded(kind: type[M], data: bytes, uri: str) -> M:
    """Return the message; `MissingEntityError` if the data is none: what cannot be read is as good as not there."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise MissingEntityError(
            f"the object {uri} is damaged: its {len(data)} bytes are no {kind.DESCRIPTOR.full_name}",
            remedy="restore it from a back-up, or make it again under another name or version",
        ) from error
