"""The HTTP server: uvicorn as a part of this process, which leaves signals and logging to it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from starlette.types import ASGIApp

POLL_SECONDS = 0.005


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The process that embeds this server decides what a signal means.
        yield


class HttpServer:
    """Serves an application on a socket that listens already."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="warning",  # what it says at INFO, the process that embeds it says itself
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        self._listener = listener
        self._server = _Uvicorn(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve; returns when requests are taken."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listener]), name="http")
        # uvicorn offers a flag, and no event, that says that it is up.
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise RuntimeError("the HTTP server ended while it started")
            await asyncio.sleep(POLL_SECONDS)

    async def stop(self) -> None:
        """Take no new requests, give the open ones a second, then end them."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
