"""Trivial tasks, many of them: what is measured is the platform."""

from __future__ import annotations

from flyteform import map_task, task, workflow

CHAIN = 40


@task
def increment(x: int) -> int:
    """Add one."""
    return x + 1


@workflow
def chain(x: int = 0) -> int:
    """Call the task 40 times, each on the result of the one before."""
    for _ in range(CHAIN):
        x = increment(x=x)
    return x


@workflow
def fan_out(xs: list[int]) -> list[int]:
    """Map the task over the items."""
    return map_task(increment)(x=xs)
