"""`python -m support.soak RUNS SEED`: so many simulated executions, judged; the last line sums up.

Ends with 1 if anything was wrong with any of them. A seed that is named gives the same execution again:
`python -m support.soak 1 SEED`.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from support.proof import FAULTS, ViolationError, prove

_CHUNK = 100
_SHOWN = 20


@dataclass
class Report:
    """What occurred in a number of runs, and the seeds that went wrong."""

    runs: int = 0
    counted: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def add(self, other: Report) -> None:
        """Take in another one."""
        self.runs += other.runs
        self.counted += other.counted
        self.violations += other.violations

    @property
    def faults(self) -> int:
        """How many faults were injected."""
        return sum(self.counted[fault] for fault in FAULTS)

    def __str__(self) -> str:
        return f"runs {self.runs}, faults injected {self.faults}, violations {len(self.violations)}"


def prove_all(seeds: range, *, stop: bool = False) -> Report:
    """Run the executions of these seeds in this process; with `stop` up to the first that goes wrong."""
    report = Report()
    for seed in seeds:
        report.runs += 1
        try:
            report.counted.update(prove(seed).counted)
        except ViolationError as violation:
            report.violations.append(str(violation))
            if stop:
                break
    return report


def soak(runs: int, first: int) -> Report:
    """Run so many executions, from a first seed on, on all cores."""
    chunks = [range(start, min(start + _CHUNK, first + runs)) for start in range(first, first + runs, _CHUNK)]
    report = Report()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for part in pool.map(prove_all, chunks):
            report.add(part)
    return report


def main() -> None:
    """Print what occurred, what was wrong, and the sum."""
    runs, first = int(sys.argv[1]), int(sys.argv[2])
    report = soak(runs, first)
    for what, times in sorted(report.counted.items()):
        print(f"{times:10,}  {what}")  # noqa: T201 - a command's output
    for violation in report.violations[:_SHOWN]:
        print(violation)  # noqa: T201 - a command's output
    print(report)  # noqa: T201 - a command's output
    sys.exit(bool(report.violations))


if __name__ == "__main__":
    main()
