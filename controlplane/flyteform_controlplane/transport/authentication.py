"""The interceptor that asks every caller who it is, whichever transport it came by."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from flyteform_controlplane.domain.principals import OPEN_METHODS, check_method
from flyteform_controlplane.errors import UnauthenticatedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from flyteform_controlplane.domain.principals import Principal
    from flyteform_controlplane.transport.calls import Call, Handler, Interceptor

# Flyte's default name for the metadata that carries the token: proxies use the plain one for themselves.
METADATA_KEY: Final = "flyte-authorization"
_PLAIN_KEY: Final = "authorization"
_SCHEME: Final = "bearer"


def authentication(
    authenticate: Callable[[str], Awaitable[Principal]], clock: Callable[[], float] = time.time
) -> Interceptor:
    """Return the interceptor that lets only callers pass whom `authenticate` knows by their token."""

    async def interceptor(call: Call, proceed: Handler) -> Any:
        if call.method in OPEN_METHODS:
            return await proceed(call)
        principal = await authenticate(bearer_token(call.metadata))
        check_method(principal, call.method)
        call.principal = principal
        if not hasattr(call.request, "__aiter__"):
            return await proceed(call)
        return await _until_expiry(call, proceed, principal.expires_at - clock())

    return interceptor


def bearer_token(metadata: Mapping[str, str]) -> str:
    """Return the token in the metadata, whose names are lower-case; `UnauthenticatedError` if there is none."""
    value = metadata.get(METADATA_KEY) or metadata.get(_PLAIN_KEY)
    if not value:
        raise UnauthenticatedError("this platform asks for a login: the call has no token")
    scheme, _, token = value.strip().partition(" ")
    if scheme.lower() != _SCHEME or not token.strip():
        raise UnauthenticatedError(f"the metadata of a login is `{_PLAIN_KEY}: Bearer TOKEN`")
    return token.strip()


async def _until_expiry(call: Call, proceed: Handler, seconds: float) -> Any:
    """Let a stream live no longer than the token that opened it; its caller opens another with a newer one."""
    try:
        async with asyncio.timeout(seconds) as limit:
            return await proceed(call)
    except TimeoutError:
        if not limit.expired():
            raise
        raise UnauthenticatedError("the token that opened this stream has expired") from None
