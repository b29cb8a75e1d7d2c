"""Answers the kubelet's questions after the health of a process, in the process's own event loop.

A loop that is stuck does not answer, which is the answer.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from aiohttp import web

from flyteform.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from flyteform_dataplane.health import Health

LIVE = "/livez"
READY = "/readyz"


@contextlib.asynccontextmanager
async def probed(health: Health, port: int, host: str = "0.0.0.0") -> AsyncIterator[int]:  # noqa: S104 - the kubelet calls from the node
    """Answer until the context ends; yields the port (0 picks a free one). `ConflictError` for one that is taken."""
    made = web.Application()
    made.add_routes([web.get(LIVE, _answer(health.ailments)), web.get(READY, _answer(health.obstacles))])
    runner = web.AppRunner(made, access_log=None)
    await runner.setup()
    try:
        await listen(web.TCPSite(runner, host, port), f"{host}:{port}", "--health-port")
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def listen(site: web.TCPSite, address: str, flag: str) -> None:
    """Begin to serve; `ConflictError` where that cannot be, as the port is taken."""
    try:
        await site.start()
    except OSError as error:
        raise ConflictError(f"{address} cannot be listened on: {error}", remedy=f"name another {flag}") from error


def _answer(problems: Callable[[], list[str]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        found = problems()
        return web.Response(text="\n".join(found) or "ok", status=503 if found else 200)

    return answer
