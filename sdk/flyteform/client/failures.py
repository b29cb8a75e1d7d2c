"""Turn a failed call into an error that says where it happened and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grpc import StatusCode

from flyteform.client.errors import AccessDeniedError, ServerError, UnsupportedError
from flyteform.errors import (
    AlreadyExistsError,
    ConflictError,
    FlyteformError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)

if TYPE_CHECKING:
    import grpc.aio

_DETAILS_CHARACTERS = 160

_ERRORS: dict[StatusCode, type[FlyteformError]] = {
    StatusCode.NOT_FOUND: NotFoundError,
    StatusCode.ALREADY_EXISTS: AlreadyExistsError,
    StatusCode.INVALID_ARGUMENT: InvalidInputError,
    StatusCode.OUT_OF_RANGE: InvalidInputError,
    StatusCode.FAILED_PRECONDITION: ConflictError,
    StatusCode.ABORTED: ConflictError,
    StatusCode.UNAVAILABLE: UnavailableError,
    StatusCode.DEADLINE_EXCEEDED: UnavailableError,
    StatusCode.RESOURCE_EXHAUSTED: InvalidInputError,
    StatusCode.UNAUTHENTICATED: AccessDeniedError,
    StatusCode.PERMISSION_DENIED: AccessDeniedError,
    StatusCode.UNIMPLEMENTED: UnsupportedError,
}


def from_call(error: grpc.aio.AioRpcError, endpoint: str, method: str) -> FlyteformError:
    """Map a failed call; the endpoint is named where the reader has to look there."""
    code, details = error.code(), error.details() or ""
    match code:
        case StatusCode.UNAVAILABLE:
            return UnavailableError(
                f"cannot reach {endpoint}: is it running?{_connection_problem(details)}",
                remedy="check the address, or start a platform on this machine with: flyteform dev",
            )
        case StatusCode.DEADLINE_EXCEEDED:
            return UnavailableError(f"{endpoint} did not answer {method} in time", remedy="try again")
        case StatusCode.UNAUTHENTICATED:
            return AccessDeniedError(
                f"{endpoint} asks for a login: {details}",
                remedy="write admin.authType ClientSecret with clientId and clientSecretLocation, or ExternalCommand "
                "with command, into ~/.flyte/config.yaml",
            )
        case StatusCode.UNIMPLEMENTED:
            return UnsupportedError(
                f"{endpoint} has no call {method}", remedy="check that the address is that of a FlyteAdmin (gRPC port)"
            )
        case _ if code in _ERRORS:
            return _ERRORS[code](details or code.name)
        case _:
            return ServerError(f"{endpoint} failed in {method}: {details or code.name}", remedy="see the server's log")


def _connection_problem(details: str) -> str:
    """Return what gRPC says about the last try, in parentheses; a refused connection needs no explanation."""
    reason = " ".join(details.rpartition("last error: ")[2].split())
    return f" ({reason[:_DETAILS_CHARACTERS]})" if reason and "Connection refused" not in reason else ""
