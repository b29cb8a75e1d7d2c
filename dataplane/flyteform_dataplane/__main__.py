"""The process of an embedded data plane: `python -m flyteform_dataplane`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

from flyteform_dataplane.process.template.system import PR_SET_PDEATHSIG, prctl

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from flyteform_dataplane.settings import Settings


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM or SIGINT, or until the parent ends; return the exit code."""
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # first of all: the imports below take longer than a parent may live
    from flyteform_dataplane.program import log_to_stderr, run
    from flyteform_dataplane.settings import parse

    def begin() -> Coroutine[None, None, None] | None:
        settings = parse(arguments)
        if settings.parent is not None and os.getppid() != settings.parent:
            return None  # it ended before this process could ask to be told
        log_to_stderr(settings.log_level)
        return _serve(settings)

    return run(begin)


async def _serve(settings: Settings) -> None:
    from flyteform_dataplane.service import running

    async with running(settings):
        await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
