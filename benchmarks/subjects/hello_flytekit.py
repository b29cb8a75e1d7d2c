"""The same hello world in stock flytekit."""

from flytekit import task, workflow


@task
def greet(name: str) -> str:
    """Say hello."""
    return f"hello {name}"


@workflow
def hello(name: str = "world") -> str:
    """Greet once."""
    return greet(name=name)
