"""A call, whatever transport brought it, and the chain of interceptors that every call goes through."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flyteform_controlplane.domain.principals import Principal

REQUEST_ID: Final = "x-request-id"
_ALPHABET: Final = string.ascii_lowercase + string.digits
_GENERATED_LENGTH: Final = 20
# What a client sends goes into logs and headers: nothing that could break a line of either.
_ACCEPTABLE_ID = re.compile(r"[\x21-\x7e]{1,128}").fullmatch


class Call:
    """One call; it is also the context that a method of a service gets.

    `method` is the full name `/package.Service/Method`; `request` is the message, or the iterator of a stream;
    `principal` is who calls, set by the interceptor that asks: None where no login is asked for.
    """

    # By hand, and what few calls need found out when it is asked for: this is made for every call.
    __slots__ = ("_metadata", "_peer", "_request_id", "method", "principal", "request")

    def __init__(
        self, method: str, request: Any, metadata: Mapping[str, str], peer: str, *, request_id: str = ""
    ) -> None:
        self.method = method
        self.request = request
        self.principal: Principal | None = None
        self._metadata = metadata
        self._peer = peer
        self._request_id = request_id

    @property
    def metadata(self) -> Mapping[str, str]:
        """What came beside the request, by lower-case names."""
        return self._metadata

    @property
    def peer(self) -> str:
        """The address that the call came from."""
        return self._peer

    @property
    def request_id(self) -> str:
        """The id that the client sent, or else a random one: the same throughout the call."""
        if not self._request_id:
            self._request_id = request_id_of(self.metadata)
        return self._request_id


def request_id_of(metadata: Mapping[str, str]) -> str:
    """Return the id that the client sent, or else `a-` and 20 random characters, as FlyteAdmin does."""
    sent = metadata.get(REQUEST_ID, "")
    if _ACCEPTABLE_ID(sent):
        return sent
    return "a-" + "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in secrets.token_bytes(_GENERATED_LENGTH))


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
