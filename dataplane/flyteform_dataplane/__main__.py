"""The process of an embedded data plane: `python -m flyteform_dataplane`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

from flyteform_dataplane.process.template.system import PR_SET_PDEATHSIG, prctl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flyteform_dataplane.settings import Settings

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM or SIGINT, or until the parent ends; return the exit code."""
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # first of all: the imports below take longer than a parent may live
    from flyteform.errors import FlyteformError
    from flyteform_dataplane.settings import parse

    try:
        settings = parse(arguments)
        if settings.parent is not None and os.getppid() != settings.parent:
            return 0  # it ended before this process could ask to be told
        logging.basicConfig(level=settings.log_level, format=_FORMAT, stream=sys.stderr)
        logging.getLogger("grpc").setLevel(logging.WARNING)  # its own debugging drowns ours
        _run(settings)
    except FlyteformError as error:
        print(f"Error: {error.message}", file=sys.stderr)  # noqa: T201 - the last words of a command
        if error.remedy:
            print(f"  → {error.remedy}", file=sys.stderr)  # noqa: T201 - as above
        return 1
    return 0


def _run(settings: Settings) -> None:
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    from flyteform_dataplane.collector import calm
    from flyteform_dataplane.service import running

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    calm()
    async with running(settings):
        await ended.wait()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
