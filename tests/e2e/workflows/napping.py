"""A task that takes as long as it is told."""

from __future__ import annotations

import time

from flyteform import task, workflow


@task
def sleep(seconds: float) -> float:
    """Take that long."""
    time.sleep(seconds)
    return seconds


@workflow
def nap(seconds: float) -> float:
    """Sleep once."""
    return sleep(seconds=seconds)
