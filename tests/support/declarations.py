"""Declarations that tests write to disk, and the edits that they make to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform.provision.desired import Target, declare

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform.provision.model import Desired

PLACE = Target("flytesnacks", "development")

HELPERS = "FACTOR = 2\n\n\ndef scale(value: int) -> int:\n    return value * FACTOR\n"
UNRELATED = "NOTHING = 0\n"
TASKS = """from flyteform import Resources, task, workflow
from helpers import scale


@task(cache=True, cache_version="1", requests=Resources(cpu="1", mem="512Mi"))
def double(x: int) -> int:
    return scale(x)


@task(retries=3)
def add(x: int, y: int) -> int:
    return x + y


@workflow
def total(x: int = 1) -> int:
    return add(x=double(x=x), y=x)
"""
PIPELINES = """from flyteform import CronSchedule
from flyteform.provision import LaunchPlan, Project, Workflow
from tasks import total

acme = Project("acme", name="Acme", description="Makes everything", labels={"team": "a"})
everyday = Workflow(total, project=acme)
nightly = LaunchPlan(everyday, name="nightly", default_inputs={"x": 5}, schedule=CronSchedule(schedule="0 3 * * *"))
"""
FILES = {"helpers.py": HELPERS, "unrelated.py": UNRELATED, "tasks.py": TASKS, "pipelines.py": PIPELINES}


def write_project(folder: Path, **changed: str) -> Path:
    """Write the example project, with some modules' text replaced, and return its declaration."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        (folder / name).write_text(changed.get(name.removesuffix(".py"), text))
    return folder / "pipelines.py"


def versions(desired: Desired) -> dict[str, str]:
    """Return the version of every entity by kind and name."""
    return {f"{each.address.kind}:{each.address.name}": each.version for each in desired.entities}


def declared(folder: Path, **changed: str) -> dict[str, str]:
    """Write the example project anew and return its versions."""
    return versions(declare(write_project(folder, **changed), PLACE))
