"""Keeps web pages from using a platform that has no login.

Whoever listens on loopback without authentication trusts every program of this machine's user, and a browser is one:
any page that is open in it can send requests to 127.0.0.1, and a name that its owner points there (DNS rebinding) makes
the answers readable too. Task images and commands come with requests, so this would hand the machine to any page.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_ORIGIN = r"https?://(localhost|127(\.\d+){3}|\[::1\])(:\d+)?"
PERMISSION_DENIED = 7


class LoopbackOnly:
    """Refuses requests that were addressed to another name than loopback's, or that come from another page.

    `origins` are those of pages that may call nevertheless, as `https://console.example:8443`.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str] = ()) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 or pass the request on."""
        refusal = self._refusal(Headers(scope=scope)) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
            return
        document = {"code": PERMISSION_DENIED, "message": refusal, "details": []}
        await JSONResponse(document, 403)(scope, receive, send)

    def _refusal(self, headers: Headers) -> str | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if not _is_loopback(f"//{host}"):
            return f"this platform has no login and answers to loopback names only, not to {host!r}"
        if origin is not None and origin not in self._origins and not _is_loopback(origin):
            return f"this platform has no login, so pages of {origin} may not call it"
        return None


def _is_loopback(url: str) -> bool:
    try:
        name = urlsplit(url).hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
