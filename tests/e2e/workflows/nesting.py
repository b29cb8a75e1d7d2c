"""A workflow in a workflow in a workflow, and one that fails at the bottom."""

from __future__ import annotations

from flyteform import task, workflow


@task
def add(a: int, b: int) -> int:
    """Add, but not to a large number."""
    if a > 1000:
        raise ValueError(f"{a} is too large")
    return a + b


@workflow
def inner(a: int) -> int:
    """Add twice."""
    return add(a=add(a=a, b=1), b=10)


@workflow
def middle(a: int) -> int:
    """Add after the inner workflow."""
    return add(a=inner(a=a), b=100)


@workflow
def outer(a: int) -> int:
    """Run the others beside each other, then add."""
    return add(a=middle(a=a), b=inner(a=a))
