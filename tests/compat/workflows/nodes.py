"""Nodes that have others below them in stock flytekit: sub-workflows and branches, one in the other."""

from datetime import timedelta
from pathlib import Path
from typing import List, Optional

from flytekit import LaunchPlan, approve, conditional, dynamic, map_task, sleep, task, wait_for_input, workflow
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


@task
def total(numbers: List[int]) -> int:
    return sum(numbers)


quadrupled = LaunchPlan.get_or_create(quadruple, name="quadrupled")
doubled_by_plan = LaunchPlan.get_or_create(deep, name="deeper", default_inputs={"n": 1})
failing = LaunchPlan.get_or_create(cleaned, name="failing")


@dynamic
def innermost(n: int) -> int:
    return total(numbers=map_task(double)(n=[n, n + 1]))


@dynamic
def unrolled(n: int) -> int:
    parts = [double(n=i) for i in range(n)]
    parts.append(quadrupled(n=n))
    parts.append(innermost(n=n))
    return total(numbers=parts)


@workflow
def launched(n: int) -> int:
    return double(n=doubled_by_plan(n=quadrupled(n=n)))


@workflow
def launches_failure(n: int) -> int:
    return failing(n=n)


@workflow
def dynamically(n: int) -> int:
    # Its own child execution too: the client registers only what it finds outside of dynamic tasks.
    return double(n=unrolled(n=quadrupled(n=n)))


@dynamic
def breaks(n: int) -> int:
    return double(n=fail(n=n))


@workflow
def dynamically_broken(n: int) -> int:
    return breaks(n=n)


@workflow
def mapped_plans(numbers: List[int]) -> int:
    return total(numbers=map_task(quadrupled)(n=numbers))


@workflow
def gated() -> int:
    rested = sleep(timedelta(seconds=1))
    given = wait_for_input("given", timeout=timedelta(minutes=5), expected_type=int)
    agreed = approve(double(n=given), "agreed", timeout=timedelta(minutes=5))
    rested >> agreed
    return double(n=agreed)


@task
def mend(n: int, flag: str) -> int:
    assert Path(flag).exists(), "not mended yet"
    return 10 * n


@workflow
def mended(n: int, flag: str) -> int:
    return mend(n=double(n=n), flag=flag)


mended_plan = LaunchPlan.get_or_create(mended, name="mended")


@dynamic
def mended_below(n: int, flag: str) -> int:
    return mend(n=double(n=n), flag=flag)


@workflow
def recoverable(n: int, flag: str) -> int:
    return mended_below(n=mended(n=mended_plan(n=double(n=n), flag=flag), flag=flag), flag=flag)
