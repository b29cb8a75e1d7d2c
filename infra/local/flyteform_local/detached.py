"""The platform as a process of nobody's, `python -m flyteform_local.detached`: it does not end with who starts it.

On a descriptor that it was given it tells in lines of JSON who it is and how the start went: a reader that comes to the
end before the second line knows that the platform has ended.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import traceback
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flyteform_local.processes import this_process

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Report:
    """Where words about the start go; whoever wanted them may be gone."""

    descriptor: int

    def send(self, **said: str | int) -> None:
        """Say something."""
        with suppress(OSError):
            os.write(self.descriptor, json.dumps(said).encode() + b"\n")


def main(words: Sequence[str]) -> int:
    """Leave whoever started this process, then serve until SIGTERM; return the exit code."""
    # A child of nobody's: who ends the one that asked, and all its children, does not end the platform.
    if os.fork():
        os._exit(0)
    given = _read(words)
    report = Report(given.report)
    report.send(**asdict(this_process()))
    try:
        _serve(given, report)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is this start's end, and somebody waits to hear it
        return _failed(report, error)
    return 0


def _read(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--report", type=int, required=True)
    parser.add_argument("--owner", required=True)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--grpc-port", type=int, default=0)
    parser.add_argument("--http-port", type=int, default=0)
    parser.add_argument("--image", dest="images", action="append", default=[])
    parser.add_argument("--connector", dest="connectors", action="append", default=[])
    return parser.parse_args(words)


def _serve(given: argparse.Namespace, report: Report) -> None:
    """Serve until SIGTERM. What makes the start slow is imported when whoever waits knows this process already."""
    import uvloop

    from flyteform_local.platform import PlatformOptions, running_platform
    from flyteform_local.serve import end_on_signals, log_to_stderr

    options = PlatformOptions(
        given.state_dir,
        grpc_port=given.grpc_port,
        http_port=given.http_port,
        images=tuple(given.images),
        connectors=tuple(given.connectors),
        owner=given.owner,
    )

    async def serve() -> None:
        ended = end_on_signals()
        async with running_platform(options) as addresses:
            report.send(grpc=addresses.grpc, http=addresses.http)
            await ended.wait()

    log_to_stderr(logging.INFO)
    # Nobody watches this log grow: what went wrong is in it, not every call.
    logging.getLogger("flyteform.access").setLevel(logging.WARNING)
    uvloop.run(serve())


def _failed(report: Report, error: BaseException) -> int:
    from flyteform.errors import FlyteformError

    if isinstance(error, FlyteformError):
        sys.stderr.write(f"Error: {error.message}\n")
        report.send(error=error.message, remedy=error.remedy or "")
    else:
        traceback.print_exception(error)
        report.send(crash=f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
    return 1


if __name__ == "__main__":
    from flyteform_local.cli.options import quiet_grpc_forks

    quiet_grpc_forks()
    sys.exit(main(sys.argv[1:]))
