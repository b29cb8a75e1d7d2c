"""Every kind of entity of stock flytekit, to be declared as resources: cached, dynamic, mapped, nested, conditional."""

from typing import List

from flytekit import CronSchedule, LaunchPlan, Workflow, conditional, dynamic, map_task, reference_task, task, workflow


@task(cache=True, cache_version="1")
def double(n: int) -> int:
    return 2 * n


@task
def total(numbers: List[int]) -> int:
    return sum(numbers)


@dynamic
def fan(n: int) -> int:
    return total(numbers=[double(n=i) for i in range(n)])


@workflow
def sub(n: int = 2) -> int:
    return double(n=n)


@workflow
def main(n: int = 3) -> int:
    a = sub(n=n)
    m = map_task(double)(n=[1, 2])
    t = total(numbers=m)
    f = fan(n=a)
    return conditional("c").if_(f > t).then(double(n=f)).else_().then(double(n=t))


nightly = LaunchPlan.get_or_create(
    main, name="nightly", default_inputs={"n": 4}, schedule=CronSchedule(schedule="0 3 * * *")
)

written = Workflow(name="provisioned.written")
written.add_workflow_input("n", int)
written.add_workflow_output("o0", written.add_entity(double, n=written.inputs["n"]).outputs["o0"])


@reference_task(project="flytesnacks", domain="development", name="elsewhere.known", version="v1")
def known(n: int) -> int: ...


@workflow
def refers(n: int = 1) -> int:
    return known(n=n)
