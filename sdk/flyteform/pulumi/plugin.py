"""The provider's process: Pulumi's engine starts it, reads its port from the first line, and calls it until the end."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from flyteform.pulumi.provider.engine import EngineLog
    from flyteform.pulumi.provider.serving import Calls


def main() -> int:
    """Serve the resources on platforms."""
    return run_plugin(_servicer)


def run_plugin(servicer: Callable[[EngineLog], AbstractAsyncContextManager[Calls]]) -> int:
    """Serve on a port of this machine until the engine ends us; the last word of the arguments is its address."""
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    try:
        asyncio.run(_serve(words[-1] if words else None, servicer))
    except KeyboardInterrupt:
        return 0
    return 0


@asynccontextmanager
async def _servicer(log: EngineLog) -> AsyncIterator[Calls]:
    from flyteform.pulumi.provider.provider import Provider
    from flyteform.pulumi.provider.servicer import Servicer

    provider = Provider(log)
    try:
        yield Servicer(provider, log, version("flyteform"))
    finally:
        await provider.close()


async def _serve(engine: str | None, servicer: Callable[[EngineLog], AbstractAsyncContextManager[Calls]]) -> None:
    from flyteform.pulumi.provider.engine import EngineLog
    from flyteform.pulumi.provider.serving import make_server

    log = EngineLog(engine)
    try:
        async with servicer(log) as calls:
            server = make_server(calls)
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            sys.stdout.write(f"{port}\n")
            sys.stdout.flush()
            try:
                await log.wait_until_gone()
            finally:
                await server.stop(None)
    finally:
        await log.close()


if __name__ == "__main__":
    sys.exit(main())
