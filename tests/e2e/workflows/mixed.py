"""Something of everything: a chain, a map, sub-workflows, a launch plan, retries, the cache, and a failure."""

from __future__ import annotations

import os
import time
import uuid

from flyteform import LaunchPlan, RecoverableError, map_task, task, workflow


@task(retries=8)
def unlike(before: list[str], failures: int) -> str:
    """Take a moment and return what no other run of this task returns; fail the first attempts."""
    time.sleep(0.04)
    if int(os.environ["FLYTE_ATTEMPT_NUMBER"]) < failures:
        raise RecoverableError("not yet")
    return f"{len(before)}-{uuid.uuid4()}"


@task(cache=True, cache_version="1")
def remembered(number: int) -> str:
    """Return what only one run returns."""
    return f"{number}-{uuid.uuid4()}"


@task
def refuse(number: int) -> str:
    """Fail for good."""
    raise ValueError(f"{number} is refused")


@workflow
def inner(before: list[str]) -> str:
    """Two in a row, the second one after a failed attempt."""
    first = unlike(before=before, failures=0)
    return unlike(before=[first], failures=1)


child = LaunchPlan(name="mixed.child", workflow=inner)


@workflow
def mixed(number: int) -> list[str]:
    """Use every kind of node that declares itself by a call."""
    start = remembered(number=number)
    below = inner(before=[start])
    beside = child(before=[start])
    spread = map_task(unlike, concurrency=3)(
        before=[[start], [start, start], [start], [start], [start], [start]], failures=[0, 1, 0, 0, 2, 0]
    )
    last = unlike(before=spread, failures=0)
    return [start, below, beside, last]


@workflow
def failing(number: int) -> str:
    """Fail after a success."""
    start = unlike(before=[], failures=0)
    bad = refuse(number=number)
    return unlike(before=[start, bad], failures=0)
