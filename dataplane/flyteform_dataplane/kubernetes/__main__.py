"""The operator's process: `python -m flyteform_dataplane.kubernetes`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from flyteform_dataplane.kubernetes.service import operate
from flyteform_dataplane.kubernetes.settings import parse
from flyteform_dataplane.program import log_to_stderr, run

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""

    def begin() -> Coroutine[None, None, None]:
        settings = parse(arguments)
        log_to_stderr(settings.log_level)
        return operate(settings)

    return run(begin)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
