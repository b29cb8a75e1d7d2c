"""What every process of a data plane does around its work: its log, its event loop, its signals, its last words."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from typing import TYPE_CHECKING

from flyteform.errors import FlyteformError
from flyteform_dataplane.collector import calm

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def run(begin: Callable[[], Coroutine[None, None, None] | None]) -> int:
    """Run what `begin` returns, until it ends or SIGTERM or SIGINT cancels it; return the exit code.

    `begin` reads the settings: a `FlyteformError` of it, or of the work, is one message and the exit code 1.
    """
    try:
        work = begin()
        if work is not None:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(_until_told(work))
    except FlyteformError as error:
        print(f"Error: {error.message}", file=sys.stderr)  # noqa: T201 - the last words of a command
        if error.remedy:
            print(f"  → {error.remedy}", file=sys.stderr)  # noqa: T201 - as above
        return 1
    return 0


def log_to_stderr(level: str) -> None:
    """Log from this level on."""
    logging.basicConfig(level=level, format=_FORMAT, stream=sys.stderr)
    logging.getLogger("grpc").setLevel(logging.WARNING)  # its own debugging drowns ours


async def _until_told(work: Coroutine[None, None, None]) -> None:
    working = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, working.cancel)
    calm()
    with contextlib.suppress(asyncio.CancelledError):
        await working


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
