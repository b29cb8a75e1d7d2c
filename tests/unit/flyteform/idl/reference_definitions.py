"""The reference workflows once more, declared with this SDK: what they become can be compared field by field."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from functools import partial
from typing import NamedTuple

from flyteform import (
    CronSchedule,
    FlyteError,
    LaunchPlan,
    Resources,
    WorkflowFailurePolicy,
    approve,
    conditional,
    dynamic,
    map_task,
    reference_launch_plan,
    reference_task,
    reference_workflow,
    sleep,
    task,
    wait_for_input,
    workflow,
)


@task(cache=True, cache_version="1", retries=3, requests=Resources(cpu="1", mem="200Mi"), timeout=timedelta(minutes=5))
def inc(x: int) -> int:
    return x + 1


@task
def add(a: int, b: int) -> int:
    return a + b


@task
def show(s: str) -> None:
    print(s)  # noqa: T201 - what it is for


class Pair(NamedTuple):
    """Two named outputs."""

    left: int
    right: str


@task
def pair(x: int) -> Pair:
    return Pair(x, str(x))


@dataclass
class Box:
    """A dataclass."""

    n: int
    tags: list[str]


@task
def box(n: int) -> Box:
    return Box(n, [])


class Colour(Enum):
    """An enum."""

    RED = "red"
    BLUE = "blue"


@task
def paint(c: Colour, o: int | None = None) -> int | str:
    return o or c.value


@task
def total(xs: list[int]) -> int:
    return sum(xs)


@task
def total_some(xs: list[int | None]) -> int:
    return len(xs)


@task
def clean(x: int) -> None:
    pass


@dynamic
def fan(n: int) -> list[int]:
    return [inc(x=i) for i in range(n)]


@workflow
def chain(x: int = 1) -> int:
    return inc(x=inc(x=x))


@workflow
def diamond(x: int) -> int:
    a = inc(x=x)
    b = inc(x=x)
    c = add(a=a, b=b)
    s = inc(x=1)
    s >> a
    return c


@workflow
def sub(x: int) -> int:
    return inc(x=chain(x=x))


chain_lp = LaunchPlan.get_or_create(chain, name="chain_lp", default_inputs={"x": 5})


@workflow
def launch(x: int) -> int:
    return inc(x=chain_lp(x=x))


@workflow
def mapped(xs: list[int]) -> int:
    return total_some(xs=map_task(inc, concurrency=2, min_success_ratio=0.5)(x=xs))


@workflow
def types(n: int) -> int | str:
    p = pair(x=n)
    b = box(n=p.left)
    show(s=p.right)
    show(s=b.tags[0])
    return paint(c=Colour.RED)


@workflow
def constants() -> tuple[int, dict[str, int]]:
    return total(xs=[1, 2, 3]), {"a": inc(x=1)}


@workflow
def overrides(x: int) -> int:
    return inc(x=x).with_overrides(
        node_name="mine", limits=Resources(cpu="2"), retries=5, interruptible=True, timeout=60
    )


@workflow
def branch(x: int) -> int:
    return conditional("size").if_((x > 1) & (x < 9)).then(inc(x=x)).elif_(x == 0).then(inc(x=0)).else_().fail("bad")


@workflow
def nested_branch(x: int) -> int:
    return (
        conditional("outer")
        .if_(x > 1)
        .then(conditional("inner").if_(x > 5).then(inc(x=x)).else_().then(add(a=x, b=1)))
        .else_()
        .then(chain(x=x))
    )


@workflow
def gates(x: int) -> int:
    a = inc(x=x)
    ok = approve(a, "ok", timeout=timedelta(hours=1))
    n = wait_for_input("n", timeout=timedelta(hours=1), expected_type=int)
    z = sleep(timedelta(seconds=5))
    r = add(a=ok, b=n)
    z >> r
    return r


@workflow(on_failure=clean, failure_policy=WorkflowFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE)
def failing(x: int) -> int:
    return inc(x=x)


@workflow
def dyn(n: int) -> int:
    return total(xs=fan(n=n))


# What follows has no counterpart in the references.


@task
def perhaps(x: int) -> int | None:
    return x or None


@task
def mend(x: int, err: FlyteError | None = None) -> None:
    print(x, err)  # noqa: T201 - what it is for


@reference_task(project="p", domain="d", name="a.b.t", version="v")
def registered_task(x: int) -> int: ...


@reference_launch_plan(project="p", domain="d", name="a.b.lp", version="v")
def registered_plan(x: int) -> int: ...


@reference_workflow(project="p", domain="d", name="a.b.wf", version="v")
def registered_workflow(x: int) -> int: ...


@workflow(on_failure=mend)
def choosing(x: int) -> int:
    a = inc(x=x)
    b = perhaps(x=x)
    return (
        conditional("c")
        .if_((a > 1) | b.is_none())
        .then(inc(x=a))
        .elif_(a == x)
        .then(inc(x=x))
        .else_()
        .then(registered_plan(x=a))
    )


@workflow
def all_registered(x: int) -> int:
    return registered_plan(x=registered_task(x=x))


@task(
    cache=True,
    cache_version="1",
    cache_serialize=True,
    cache_ignore_input_vars=["y"],
    timeout=90,
    interruptible=True,
    requests=Resources(cpu="16", mem="16Gi", gpu="1"),
    limits=Resources(ephemeral_storage="1Gi"),
    environment={"B": "2", "A": "1"},
    container_image="own:1",
)
def full(x: int, y: int) -> int:
    """Have every setting."""
    return x + y


@workflow(failure_policy=WorkflowFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE)
def bound(xs: list[int], b: int = 2) -> list[int | None]:
    """Map with a bound input.

    Second paragraph.
    """
    return map_task(partial(add, b=b), min_successes=1)(a=xs)


nightly = LaunchPlan.get_or_create(
    bound, name="nightly", default_inputs={"xs": [1]}, fixed_inputs={"b": 3}, schedule=CronSchedule("0 6 * * *")
)
