"""Programs that tests run, in a folder of their own, and the edits that they make to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TASKS = """from flyteform import Resources, task, workflow


@task(cache=True, cache_version="1", requests=Resources(cpu="1", mem="512Mi"))
def double(x: int) -> int:
    return 2 * x


@task(retries=3)
def add(x: int, y: int) -> int:
    return x + y


@workflow
def total(x: int = 1) -> int:
    return add(x=double(x=x), y=x)
"""
SIMPLE = """import pulumi
from flyteform import CronSchedule
from flyteform.pulumi import LaunchPlan, Project, Workflow
from tasks import total

acme = Project("acme", description="Makes everything", labels={"team": "a"})
everyday = Workflow("everyday", total, project=acme, domain="development")
nightly = LaunchPlan(
    "nightly", everyday, name="nightly", default_inputs={"x": 5}, schedule=CronSchedule(schedule="0 3 * * *")
)
pulumi.export("version", everyday.version)
pulumi.export("active", nightly.active_version)
"""
CLOUD = """import pulumi


class Value(pulumi.CustomResource):
    def __init__(self, name, value, opts=None):
        super().__init__("cloud:index:Value", name, {"value": value, "result": None}, opts)
"""
FULL = """import pulumi
from cloud import Value
from flyteform import CronSchedule, Resources
from flyteform.provision import Concurrency, Email, ExecutionSettings, TaskResources
from flyteform.pulumi import LaunchPlan, Metadata, Project, Provider, Settings, Workflow
from tasks import total

config = pulumi.Config()
address = Value("address", config.require("endpoint"))
image = Value("image", "registry.example.org/tasks:1")
platform = Provider("platform", endpoint=address.result, client_id="me", client_secret="provider-swordfish")
on = pulumi.ResourceOptions(provider=platform)
acme = Project("acme", description="Makes everything", labels={"team": "a"}, opts=on)
Settings("limits", TaskResources(limits=Resources(cpu="4")), project=acme, domain="development", opts=on)
Settings("plan", ExecutionSettings(max_parallelism=9, raw_output_prefix=image.result), project=acme, opts=on)
everyday = Workflow(
    "everyday", total, project=acme, domain="development", image=image.result, description="Adds", opts=on
)
LaunchPlan(
    "nightly",
    everyday,
    name="nightly",
    default_inputs={"x": 5},
    schedule=CronSchedule(schedule="0 3 * * *"),
    concurrency=Concurrency(1, "WAIT"),
    notifications=[Email("a@example.org")],
    environment={"TOKEN": config.require_secret("secret")},
)
Metadata(
    "about",
    "task",
    "tasks.add",
    project=acme,
    domain="development",
    description="Sums",
    opts=pulumi.ResourceOptions(provider=platform, depends_on=[everyday]),
)
pulumi.export("version", everyday.version)
"""


def write_program(folder: Path, program: str = SIMPLE, tasks: str = TASKS) -> None:
    """Write a program with its modules."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"__main__.py": program, "tasks.py": tasks, "cloud.py": CLOUD}.items():
        (folder / name).write_text(text)
