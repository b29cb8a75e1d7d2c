"""What a call to the control plane can be refused with; one field names the gRPC status, transports map it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grpc import StatusCode

from flyteform.errors import FlyteformError

if TYPE_CHECKING:
    from google.protobuf.message import Message


class ControlPlaneError(FlyteformError):
    """Root: carries the gRPC status and the detail messages that clients parse."""

    status = StatusCode.INTERNAL

    def __init__(self, message: str, *, details: tuple[Message, ...] = (), remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.details = details


class InvalidArgumentError(ControlPlaneError):
    """The request is wrong by itself."""

    code = "InvalidArgument"
    status = StatusCode.INVALID_ARGUMENT


class MissingEntityError(ControlPlaneError):
    """What the request names does not exist."""

    code = "NotFound"
    status = StatusCode.NOT_FOUND


class EntityExistsError(ControlPlaneError):
    """What the request would create exists."""

    code = "AlreadyExists"
    status = StatusCode.ALREADY_EXISTS


class FailedPreconditionError(ControlPlaneError):
    """The entity is in a state that does not allow the request."""

    code = "FailedPrecondition"
    status = StatusCode.FAILED_PRECONDITION


class ResourceExhaustedError(ControlPlaneError):
    """A limit on size or number is passed."""

    code = "ResourceExhausted"
    status = StatusCode.RESOURCE_EXHAUSTED


class UnauthenticatedError(ControlPlaneError):
    """The caller has not shown who it is."""

    code = "Unauthenticated"
    status = StatusCode.UNAUTHENTICATED


class PermissionDeniedError(ControlPlaneError):
    """The caller is known and may not do this."""

    code = "PermissionDenied"
    status = StatusCode.PERMISSION_DENIED


class UnavailableError(ControlPlaneError):
    """The database or the object store does not answer now."""

    code = "Unavailable"
    status = StatusCode.UNAVAILABLE
    retryable = True


class TransactionConflictError(UnavailableError):
    """The database undid a transaction in favour of another: nothing of it is written, and the next try may succeed."""


class UnimplementedError(ControlPlaneError):
    """The contract has this method and this server does not serve it."""

    code = "Unimplemented"
    status = StatusCode.UNIMPLEMENTED
