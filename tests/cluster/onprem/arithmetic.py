"""A workflow that the platform's own program declares."""

from flyteform import Resources, task, workflow

SMALL = Resources(cpu="50m", mem="128Mi")


@task(requests=SMALL)
def double(x: int) -> int:
    return 2 * x


@task(requests=SMALL)
def add(x: int, y: int) -> int:
    return x + y


@workflow
def total(x: int = 1) -> int:
    return add(x=double(x=x), y=x)
