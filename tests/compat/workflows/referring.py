"""What another team registers in stock flytekit: it calls a launch plan that it only knows by name."""

from flytekit import reference_launch_plan, workflow


@reference_launch_plan(project="flytesnacks", domain="development", name="published.plan", version="v1")
def published(n: int) -> int:  # noqa: ARG001 - it is somebody else's
    return 0


@workflow
def refers(n: int) -> int:
    return published(n=n)
