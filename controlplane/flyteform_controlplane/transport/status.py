"""What a failed call is answered with, on every transport."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grpc import StatusCode

from flyteform.errors import (
    AlreadyExistsError,
    ConflictError,
    ExecutionFailedError,
    FlyteformError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from flyteform.objects.signing import SignatureRefusedError
from flyteform_controlplane.errors import ControlPlaneError

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from flyteform_controlplane.transport.calls import Call, Handler

MAX_MESSAGE_BYTES = 3 * 1024 * 1024  # FlyteAdmin cuts its error texts here
CUT = "… (cut)"

_STATUS_OF: tuple[tuple[type[FlyteformError], StatusCode], ...] = (
    (InvalidInputError, StatusCode.INVALID_ARGUMENT),
    (NotFoundError, StatusCode.NOT_FOUND),
    (AlreadyExistsError, StatusCode.ALREADY_EXISTS),
    (ConflictError, StatusCode.FAILED_PRECONDITION),
    (ExecutionFailedError, StatusCode.FAILED_PRECONDITION),
    (UnavailableError, StatusCode.UNAVAILABLE),
    (SignatureRefusedError, StatusCode.PERMISSION_DENIED),
)

_HTTP_STATUS_OF = {
    StatusCode.OK: 200,
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.FAILED_PRECONDITION: 400,
    StatusCode.OUT_OF_RANGE: 400,
    StatusCode.UNAUTHENTICATED: 401,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.ABORTED: 409,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.CANCELLED: 499,
    StatusCode.INTERNAL: 500,
    StatusCode.UNKNOWN: 500,
    StatusCode.DATA_LOSS: 500,
    StatusCode.UNIMPLEMENTED: 501,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.DEADLINE_EXCEEDED: 504,
}


@dataclass(frozen=True, slots=True)
class Status:
    """A gRPC code, a text for people, and messages that clients parse."""

    code: StatusCode
    message: str
    details: tuple[Message, ...] = ()

    @property
    def number(self) -> int:
        """The code as clients see it on the wire."""
        return int(self.code.value[0])


class CallError(Exception):
    """A call ended with another status than OK; transports answer with it."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.message)
        self.status = status


async def observed(call: Call, proceed: Handler, note: Callable[[Call, StatusCode, float], None]) -> Any:
    """Proceed, and tell `note` with which code the call ended and after how many seconds, however it ends."""
    started = time.perf_counter()
    code = StatusCode.CANCELLED
    try:
        response = await proceed(call)
        code = StatusCode.OK
    except CallError as error:
        code = error.status.code
        raise
    finally:
        note(call, code, time.perf_counter() - started)
    return response


def status_of(error: FlyteformError) -> Status:
    """Return the status for an error that was raised on purpose."""
    text = f"{error.message}; {error.remedy}" if error.remedy else error.message
    message = cut(text, MAX_MESSAGE_BYTES)
    if isinstance(error, ControlPlaneError):
        return Status(error.status, message, error.details)
    code = next((code for kind, code in _STATUS_OF if isinstance(error, kind)), StatusCode.INTERNAL)
    return Status(code, message)


def cut(text: str, limit: int) -> str:
    """Shorten the text to at most `limit` bytes of UTF-8, at a character's border, and say so at its end."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return encoded.decode()
    return encoded[: limit - len(CUT.encode())].decode("utf-8", "ignore") + CUT


def http_status(code: StatusCode) -> int:
    """Return the HTTP status that a gateway answers for the code (contract 1.0)."""
    return _HTTP_STATUS_OF[code]
