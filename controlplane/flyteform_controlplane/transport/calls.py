"""A call, whatever transport brought it, and the chain of interceptors that every call goes through."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flyteform_controlplane.domain.principals import Principal


@dataclass(frozen=True, slots=True)
class Call:
    """One call; it is also the context that a method of a service gets.

    `method` is the full name `/package.Service/Method`; `request` is the message, or the iterator of a stream;
    `metadata` has lower-case names; `deadline` is in seconds of the event loop's clock, None without a limit;
    `principal` is who calls, None where no login is asked for.
    """

    method: str
    request: Any
    metadata: Mapping[str, str]
    peer: str
    deadline: float | None = None
    request_id: str = ""
    principal: Principal | None = None


# A response message, or None once a stream has been answered.
Handler: TypeAlias = Callable[[Call], Awaitable[Any]]
Interceptor: TypeAlias = Callable[[Call, Handler], Awaitable[Any]]


def compose(interceptors: Sequence[Interceptor], endpoint: Handler) -> Handler:
    """Put the interceptors around the endpoint, the first one outermost."""
    handler = endpoint
    for interceptor in reversed(interceptors):
        handler = _around(interceptor, handler)
    return handler


def _around(interceptor: Interceptor, handler: Handler) -> Handler:
    return lambda call: interceptor(call, handler)
