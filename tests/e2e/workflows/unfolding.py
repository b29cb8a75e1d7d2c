"""A dynamic task, whose own code is needed again by the tasks that it makes."""

import flyteform as fl


@fl.task
def square(x: int) -> int:
    return x * x


@fl.task
def total(xs: list[int]) -> int:
    return sum(xs)


@fl.dynamic
def squares(n: int) -> int:
    return total(xs=[square(x=x) for x in range(n)])


@fl.workflow
def unfolding(n: int) -> int:
    return squares(n=n)
