"""Nodes of every kind in stock flytekit: a sub-workflow, a launch plan, a branch, a dynamic, a map, gates."""

from datetime import timedelta
from typing import List, Tuple

from flytekit import LaunchPlan, approve, conditional, dynamic, map_task, task, wait_for_input, workflow


@task
def double(n: int) -> int:
    return 2 * n


@task
def total(numbers: List[int]) -> int:
    return sum(numbers)


@dynamic
def unroll(n: int) -> int:
    return total(numbers=[double(n=i) for i in range(n)])


@workflow
def inner(n: int = 1) -> int:
    return double(n=double(n=n))


child = LaunchPlan.get_or_create(inner, name="child")


@workflow
def outer(n: int = 3) -> Tuple[int, int, int, int, int]:
    chosen = conditional("size").if_(n > 100).then(double(n=n)).else_().then(total(numbers=[n]))
    return inner(n=n), child(n=n), total(numbers=map_task(double)(n=[1, 2, 3])), unroll(n=2), chosen


@workflow
def gated() -> int:
    given = wait_for_input("given", timeout=timedelta(minutes=5), expected_type=int)
    agreed = approve(double(n=given), "agreed", timeout=timedelta(minutes=5))
    return double(n=agreed)
