"""Tasks that leave a line in a file each time they run, so that a test can count the runs."""

from __future__ import annotations

import os
import time
from pathlib import Path

from flyteform import map_task, task, workflow


@task
def step(x: int, folder: str) -> int:
    """Leave a mark, take a moment, add one."""
    with (Path(folder) / f"step-{x}").open("a") as marks:
        marks.write(f"began {os.getpid()}\n")
    time.sleep(0.15)
    with (Path(folder) / f"step-{x}").open("a") as marks:
        marks.write("ended\n")
    return x + 1


@task
def item(x: int) -> int:
    """Take a moment, double."""
    time.sleep(0.05)
    return 2 * x


@workflow
def steps(folder: str) -> list[int]:
    """Twelve steps one after the other, then a map over as many items."""
    x = step(x=0, folder=folder)
    for _ in range(11):
        x = step(x=x, folder=folder)
    return map_task(item)(x=[x, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
