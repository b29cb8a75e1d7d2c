"""Workflows that the platform's own program declares."""

import urllib.request

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


@task(requests=SMALL)
def ask(url: str) -> int:
    """Return what a server answers, however long it thinks."""
    with urllib.request.urlopen(url, timeout=600) as answer:  # noqa: S310 - the tests' own server
        return int(answer.read())


@workflow
def patient(url: str) -> int:
    return double(x=ask(url=url))
