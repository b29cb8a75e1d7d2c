"""The module of a user who is not there: importing it and running its task does once what every attempt does."""

from __future__ import annotations

from flyteform.authoring.tasks import task
from flyteform.authoring.workflows import workflow


@task
def collect(number: int, text: str, share: float, *, flag: bool = True, names: list[str] | None = None) -> list[str]:
    """Take values of the usual types and give some."""
    return [f"{number} {text} {share} {flag}", *(names or ())]


@task
def count(names: list[str]) -> int:
    """Count."""
    return len(names)


@workflow
def both(number: int = 1, text: str = "a") -> int:
    """Run both."""
    counted: int = count(names=collect(number=number, text=text, share=0.5))
    return counted
