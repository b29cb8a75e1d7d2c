"""Every kind of node that this SDK can declare."""

import time
from datetime import timedelta

import flyteform as fl


@fl.task
def inc(x: int) -> int:
    return x + 1


@fl.task
def sign(x: int) -> bool:
    return x > 0


@fl.task
def perhaps(x: int) -> int | None:
    return x or None


@fl.task
def total(xs: list[int]) -> int:
    return sum(xs)


@fl.task
def boom(x: int) -> int:
    raise ValueError(f"no {x}")


@fl.task
def nap(x: int) -> int:
    time.sleep(60)
    return x


@fl.task
def clean(x: int, err: fl.FlyteError | None = None) -> None:
    assert err is not None
    assert f"no {x}" in err.message


@fl.workflow
def plus_two(x: int) -> int:
    return inc(x=inc(x=x))


@fl.workflow
def choosing(x: int) -> int:
    a, b, c = inc(x=x), sign(x=x), perhaps(x=x)
    small = (
        fl.conditional("small")
        .if_(c.is_none())
        .then(inc(x=100))
        .else_()
        .then(fl.conditional("inner").if_((a > 2) & (a <= 4)).then(plus_two(x=a)).else_().then(inc(x=a)))
    )
    return (
        fl.conditional("large")
        .if_(b.is_true() & (x > 50))
        .then(inc(x=x))
        .elif_(x >= 0)
        .then(inc(x=small))
        .else_()
        .fail("negative")
    )


@fl.dynamic
def fan(n: int) -> int:
    parts = [inc(x=number) for number in range(n)]
    if n > 3:
        parts.append(plus_two(x=n))
        parts.append(fl.conditional("c").if_(parts[0] == 1).then(inc(x=1000)).else_().then(inc(x=0)))
    return total(xs=[*parts, total(xs=fl.map_task(inc)(x=[1, 2]))])


@fl.dynamic
def countdown(n: int) -> int:
    return countdown(n=n - 1) if n else inc(x=0)


@fl.dynamic(retries=2)
def lucky(n: int) -> int:
    attempt = fl.current_context().attempt
    return inc(x=attempt) if attempt == n else boom(x=attempt)


@fl.dynamic
def many(n: int) -> int:
    for number in range(n):
        inc(x=number)
    return n


@fl.dynamic
def endless(n: int) -> int:
    return endless(n=n + 1)


@fl.dynamic
def napping(n: int) -> int:
    return total(xs=[nap(x=number) for number in range(n)])


@fl.workflow
def dynamic_flow(n: int) -> tuple[int, int, int]:
    return fan(n=n), countdown(n=2), lucky(n=1)


@fl.workflow
def gated(x: int) -> int:
    agreed = fl.approve(inc(x=x), "agreed", timeout=timedelta(minutes=5))
    given = fl.wait_for_input("given", timeout=timedelta(minutes=5), expected_type=int)
    rest = fl.sleep(timedelta(seconds=0.2))
    result = total(xs=[agreed, given])
    rest >> result
    return result


@fl.workflow(on_failure=clean)
def failing(x: int) -> int:
    return boom(x=x)


@fl.workflow
def waiting(x: int) -> int:
    return fl.conditional("c").if_(x > 0).then(napping(n=3)).else_().then(endless(n=0))
