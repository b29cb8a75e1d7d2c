"""What one team registers in stock flytekit, for others to refer to."""

from flytekit import LaunchPlan, task, workflow


@task
def triple(n: int) -> int:
    return 3 * n


@workflow
def tripled(n: int) -> int:
    return triple(n=n)


published = LaunchPlan.get_or_create(tripled, name="published.plan")
