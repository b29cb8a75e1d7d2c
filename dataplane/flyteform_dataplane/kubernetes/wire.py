"""JSON as it goes to an API server and comes from there.

What the fast library does not take, half of a surrogate pair or a form that is not expected, the standard one reads and
writes: what anybody has put into a label must not keep a watch from going on.
"""

from __future__ import annotations

import json
from typing import Any, Final, Generic, TypedDict, TypeVar

import msgspec

from flyteform.errors import UnavailableError

Form = TypeVar("Form")
_encoder: Final = msgspec.json.Encoder()


class Metadata(TypedDict, total=False):
    """What is read of an object's metadata: not who has written which field, which is half of a small object."""

    name: str
    generateName: str
    namespace: str
    uid: str
    resourceVersion: str
    generation: int
    creationTimestamp: str | None
    deletionTimestamp: str | None
    deletionGracePeriodSeconds: int | None
    labels: dict[str, str] | None
    annotations: dict[str, str] | None
    finalizers: list[str] | None
    ownerReferences: list[dict[str, Any]] | None


class Described(TypedDict, total=False):
    """An object of which no more than its metadata is read."""

    metadata: Metadata


class Listed(TypedDict, Generic[Form], total=False):
    """A page of a list; of metadata an empty one is null."""

    metadata: dict[str, Any]
    items: list[Form] | None


class Change(TypedDict, Generic[Form]):
    """A line of a watch."""

    type: str
    object: Form


class Reader:
    """Reads documents of a form: only what that names, or all of one that turns out to have another form."""

    def __init__(self, form: Any = Any) -> None:
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(form)

    def __call__(self, text: bytes) -> Any:
        """Return the document; `UnavailableError` if it is none, as of a proxy that answers by itself."""
        try:
            return self._decoder.decode(text)
        except (ValueError, RecursionError):
            try:
                return json.loads(text)
            except (ValueError, RecursionError) as error:
                raise UnavailableError(f"what the Kubernetes API server says is no JSON: {error}") from error


decoded: Final = Reader()


def encoded(document: object) -> bytes:
    """Return a document as text; TypeError for what JSON does not have."""
    try:
        return _encoder.encode(document)
    except (TypeError, ValueError, RecursionError):
        return json.dumps(document, separators=(",", ":")).encode()
