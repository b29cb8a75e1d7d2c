"""Timing of whole processes side by side, and the line in which a result is printed."""

from __future__ import annotations

import statistics
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


def process_seconds(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str] | None = None) -> float:
    """Return how long the whole process takes; raise if it fails, as a fast failure is no result."""
    started = time.perf_counter()
    subprocess.run(
        command, cwd=cwd, env=environment, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=120
    )
    return time.perf_counter() - started


def side_by_side(subjects: Mapping[str, Callable[[], float]], *, rounds: int) -> dict[str, list[float]]:
    """Run the subjects in turn, round after round, so that what else the machine does meets all alike."""
    for subject in subjects.values():
        subject()  # caches of files and of byte code are warm for everybody
    seconds: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, subject in subjects.items():
            seconds[name].append(subject())
    return seconds


def median_ms(seconds: Sequence[float]) -> float:
    """Return the median in milliseconds."""
    return statistics.median(seconds) * 1000


def report(what: str, ratio: float, *, goal: str, detail: str) -> None:
    """Print one result: the ratio first, what it is held against, and the figures behind it."""
    print(f"{what}: {ratio:.2f} ({goal})\n    {detail}", flush=True)
