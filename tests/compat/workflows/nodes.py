"""Nodes that have others below them in stock flytekit: sub-workflows and branches, one in the other."""

from typing import Optional

from flytekit import conditional, task, workflow
from flytekit.types.error.error import FlyteError


@task
def double(n: int) -> int:
    return 2 * n


@task
def negate(n: int) -> int:
    return -n


@workflow
def quadruple(n: int) -> int:
    return double(n=double(n=n))


@workflow
def deep(n: int) -> int:
    return double(n=quadruple(n=n))


@workflow
def chosen(n: int) -> int:
    doubled = deep(n=n)
    return (
        conditional("size")
        .if_((doubled > 10) & (doubled < 1000))
        .then(quadruple(n=doubled))
        .elif_(doubled == 8)
        .then(negate(n=doubled))
        .else_()
        .fail("out of range")
    )


@task
def fail(n: int) -> int:
    if n:
        raise ValueError(f"no {n}")
    return n


@task
def clean(n: int, err: Optional[FlyteError] = None) -> None:
    assert err is not None
    assert err.failed_node_id == "fn0"
    assert f"no {n}" in err.message


@workflow(on_failure=clean)
def cleaned(n: int) -> int:
    return fail(n=n)
