"""Whole-process time of a local hello world: `flyteform run` against flytekit's `pyflyte run`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.measure import median_ms, process_seconds, report, side_by_side

SUBJECTS = Path(__file__).parent / "subjects"
ROUNDS = 9
GOAL = 5.0


def main() -> None:
    """Print how many times faster flyteform is."""
    ours = Path(sys.executable).with_name("flyteform")
    pyflyte = Path(os.environ["FLYTEFORM_FLYTEKIT"]) / "bin" / "pyflyte"
    floor = [sys.executable, "-c", "pass"]

    def subject(*command: str) -> float:
        return process_seconds(command, cwd=SUBJECTS)

    seconds = side_by_side(
        {
            "flyteform": lambda: subject(str(ours), "run", "hello_flyteform.py", "hello", "--name", "you"),
            "flytekit": lambda: subject(str(pyflyte), "run", "hello_flytekit.py", "hello", "--name", "you"),
            "floor": lambda: subject(*floor),
        },
        rounds=ROUNDS,
    )
    ours_ms, theirs_ms, floor_ms = (median_ms(seconds[name]) for name in ("flyteform", "flytekit", "floor"))
    report(
        "local hello world, times faster than pyflyte run",
        theirs_ms / ours_ms,
        goal=f"goal: at least {GOAL:.0f}",
        detail=f"medians, ms: flyteform {ours_ms:.0f}, flytekit {theirs_ms:.0f}, bare Python {floor_ms:.0f}",
    )
