"""Serving until somebody ends it: signals, and what people see while it serves."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import TYPE_CHECKING

import uvloop

from flyteform_local.platform import PlatformOptions, running_platform

if TYPE_CHECKING:
    from flyteform_local.state import Addresses


def serve(options: PlatformOptions) -> None:
    """Run the platform until SIGTERM or SIGINT."""
    log_to_stderr(logging.INFO)
    uvloop.run(_serve(options))


def log_to_stderr(level: int) -> None:
    """Send the platform's own log to standard error, from this level on."""
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # A migration that fails raises; that it ran is no news to whoever starts a platform.
    logging.getLogger("alembic").setLevel(logging.WARNING)


async def _serve(options: PlatformOptions) -> None:
    ended = end_on_signals()
    async with running_platform(options) as addresses:
        print(_banner(options, addresses), flush=True)  # noqa: T201 - what the command is asked to print
        await ended.wait()
        print("ending …", flush=True)  # noqa: T201 - as above


def _banner(options: PlatformOptions, addresses: Addresses) -> str:
    return "\n".join(
        [
            "flyteform is ready",
            f"  gRPC   {addresses.grpc}",
            f"  REST   {addresses.http}/api/v1",
            f"  state  {options.state_dir.expanduser().absolute()}",
            *_login(addresses),
            "Ctrl-C ends it; what runs then goes on when it is started again.",
        ],
    )


def _login(addresses: Addresses) -> list[str]:
    """Tell where the secret lies, never the secret."""
    if not addresses.client_id:
        return []
    return [f"  login  client {addresses.client_id}, its secret is in {addresses.client_secret_file}"]


def end_on_signals() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set, in place of what they would do."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    return ended
