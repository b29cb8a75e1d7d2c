"""Trivial tasks, many of them: what is measured is the platform."""

from __future__ import annotations

import time

from flyteform import map_task, task, workflow

CHAIN = 40


@task
def increment(x: int) -> int:
    """Add one."""
    return x + 1


@task
def nap(x: int) -> int:
    """Take 10 ms, add one."""
    time.sleep(0.01)
    return x + 1


@workflow
def naps(x: int = 0) -> int:
    """Call a task of 10 ms 40 times, each on the result of the one before."""
    for _ in range(CHAIN):
        x = nap(x=x)
    return x


@workflow
def three(x: int = 0) -> int:
    """Call it three times."""
    return nap(x=nap(x=nap(x=x)))


@workflow
def fan_out(xs: list[int]) -> list[int]:
    """Map the task over the items."""
    return map_task(increment)(x=xs)
