"""The operator's process: `python -m flyteform_dataplane.kubernetes`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from typing import TYPE_CHECKING

from flyteform.errors import FlyteformError
from flyteform_dataplane.kubernetes.service import operate
from flyteform_dataplane.kubernetes.settings import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform_dataplane.kubernetes.settings import OperatorSettings

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    try:
        settings = parse(arguments)
        logging.basicConfig(level=settings.log_level, format=_FORMAT, stream=sys.stderr)
        asyncio.run(_serve(settings))
    except FlyteformError as error:
        print(f"Error: {error.message}", file=sys.stderr)  # noqa: T201 - the last words of a command
        if error.remedy:
            print(f"  → {error.remedy}", file=sys.stderr)  # noqa: T201 - as above
        return 1
    return 0


async def _serve(settings: OperatorSettings) -> None:
    working = asyncio.create_task(operate(settings))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, working.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await working


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
