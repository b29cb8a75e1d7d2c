"""Runs Pulumi programs as Pulumi's language host does: each in its own process, connected to monitor and engine."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import runpy
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from pulumi.runtime import config, settings
from pulumi.runtime.stack import run_in_stack

import flyteform.pulumi.resources  # noqa: F401 - imported once, before the forks


def main(words: list[str]) -> int:
    """Run the program; an exception of it, or of the registration of a resource, ends the process with a traceback."""
    parser = argparse.ArgumentParser()
    for name in ("--monitor", "--engine", "--config"):
        parser.add_argument(name)
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("program")
    given = parser.parse_args(words)
    settings.configure(
        settings.Settings(
            project="program",
            stack="test",
            monitor=given.monitor,
            engine=given.engine,
            parallel=64,
            dry_run=given.dry_run,
            organization="test",
        )
    )
    config.set_all_config(json.loads(given.config))
    program = Path(given.program)
    sys.path.insert(0, str(program.parent))
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    def run() -> None:
        runpy.run_path(str(program), run_name="__main__")

    loop.run_until_complete(run_in_stack(run))
    return 0


def serve() -> None:
    """Run one program after another, each in a fork of this process, which has imported what programs need."""
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(asked)
        _say(pid)
        _say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _become(asked: dict[str, Any]) -> NoReturn:
    """Run a program in this fork."""
    os.environ.clear()
    os.environ.update(asked["environment"])
    with Path(asked["output"]).open("wb") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    code = 1
    try:
        code = main(asked["words"])
    except BaseException:  # noqa: BLE001 - whatever it is, it is this program's end
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve()
