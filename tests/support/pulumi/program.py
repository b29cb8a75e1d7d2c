"""Runs a Pulumi program as Pulumi's language host does: in its own process, connected to a monitor and an engine."""

from __future__ import annotations

import argparse
import asyncio
import json
import runpy
import sys
from pathlib import Path

from pulumi.runtime import config, settings
from pulumi.runtime.stack import run_in_stack


def main() -> int:
    """Run the program; an exception of it, or of the registration of a resource, ends the process with a traceback."""
    parser = argparse.ArgumentParser()
    for name in ("--monitor", "--engine", "--config"):
        parser.add_argument(name)
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("program")
    given = parser.parse_args()
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


if __name__ == "__main__":
    sys.exit(main())
