"""What the smoke test runs on a platform: two tasks, one after the other."""

from flyteform import task, workflow


@task
def where() -> str:
    """Say in which pod it runs."""
    import platform

    return platform.node()


@task
def greet(name: str) -> str:
    """Greet."""
    return f"hello from {name}"


@workflow
def hello() -> str:
    """Say hello from a pod."""
    return greet(name=where())
