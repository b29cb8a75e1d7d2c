"""The provider's process: Pulumi's engine starts it, reads its port from the first line, and calls it until the end."""

from __future__ import annotations

import asyncio
import sys
from importlib.metadata import version


def main() -> int:
    """Serve on a port of this machine until the engine ends us; the last word of the arguments is its address."""
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    try:
        asyncio.run(_serve(words[-1] if words else None))
    except KeyboardInterrupt:
        return 0
    return 0


async def _serve(engine: str | None) -> None:
    from flyteform.pulumi.provider.engine import EngineLog
    from flyteform.pulumi.provider.provider import Provider
    from flyteform.pulumi.provider.servicer import Servicer
    from flyteform.pulumi.provider.serving import make_server

    log = EngineLog(engine)
    provider = Provider(log)
    server = make_server(Servicer(provider, log, version("flyteform")))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    try:
        await log.wait_until_gone()
    finally:
        await server.stop(None)
        await provider.close()
        await log.close()


if __name__ == "__main__":
    sys.exit(main())
