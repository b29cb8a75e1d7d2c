"""A workflow of two tasks in stock flytekit, as its users write it."""

from dataclasses import dataclass
from typing import List

from flytekit import LaunchPlan, task, workflow


@dataclass
class Summary:
    """What the second task says of the numbers."""

    total: int
    text: str


@task
def squares(n: int) -> List[int]:
    return [i * i for i in range(n)]


@task
def summarize(numbers: List[int]) -> Summary:
    return Summary(total=sum(numbers), text=" ".join(map(str, numbers)))


@workflow
def two_steps(n: int = 4) -> Summary:
    return summarize(numbers=squares(n=n))


@task
def refuse(n: int) -> int:
    if n > 0:
        raise ValueError(f"no {n} for you")
    return n


@workflow
def failing(n: int = 1) -> int:
    return refuse(n=n)


fives = LaunchPlan.get_or_create(two_steps, name="fives", fixed_inputs={"n": 5})
