"""Previews of production, for each cloud: whole processes with the import of its SDK, through the recording monitor.

The ratio is of CPU time, which other work on the machine changes less than the clock; both are printed.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import report

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.recording.stacks import ROOT, Recordings, clouds, shipped

if TYPE_CHECKING:
    from collections.abc import Sequence

GOAL = 10.0


def main() -> None:
    """Measure the stacks of each cloud one after the other; what they refer to is recorded before."""
    with tempfile.TemporaryDirectory() as folder:
        recordings = Recordings(Path(folder))
        for cloud in clouds():
            names = [each for each in shipped(cloud) if each.startswith("prod")]
            for name in names:
                recordings.shipped(cloud, name).check()
            _tell(cloud, [_preview(cloud, name, folder) for name in names])


def _preview(cloud: str, name: str, folder: str) -> tuple[float, float, str]:
    """Return CPU seconds of all processes, those on the clock, and the stack's name."""
    before, began = _cpu_seconds(), time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.previews", cloud, name, folder]
    subprocess.run(command, cwd=ROOT, check=True)
    return _cpu_seconds() - before, time.perf_counter() - began, name


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _tell(cloud: str, measured: Sequence[tuple[float, float, str]]) -> None:
    ratio = max(measured)[0] / GOAL
    detail = "; ".join(f"{name} {cpu:.1f} s of CPU, {clock:.1f} s on the clock" for cpu, clock, name in measured)
    report(f"{cloud}: the slowest preview of production", ratio, goal="goal: below 1", detail=detail)


if __name__ == "__main__":
    Recordings(Path(sys.argv[3]), preload=False).shipped(sys.argv[1], sys.argv[2], preview=True).check()
