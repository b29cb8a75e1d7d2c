"""The resources that a declaration is made of. Creating one declares it, so loops and functions work."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flyteform import authoring


class Resource:
    """Something declared. Outside a plan (a local run, a test) declaring has no effect."""

    def __post_init__(self) -> None:
        """Tell the plan that is loading the module, if there is one."""
        collected = _collected.get()
        if collected is not None:
            collected.append(self)


_collected: ContextVar[list[Resource] | None] = ContextVar("flyteform_declared_resources", default=None)


@dataclass(frozen=True)
class Project(Resource):
    """A project. What is left out is left as the platform has it; a new project is named by its id."""

    id: str
    name: str | None = None
    description: str | None = None
    labels: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Task(Resource):
    """A task in a project and domain; both default to those that the plan is made for."""

    entity: authoring.PythonTask
    project: Project | str | None = None
    domain: str | None = None


@dataclass(frozen=True)
class Workflow(Resource):
    """A workflow with all that it calls, and its default launch plan, which has the workflow's own name."""

    entity: authoring.Workflow
    project: Project | str | None = None
    domain: str | None = None


@dataclass(frozen=True)
class LaunchPlan(Resource):
    """A launch plan with its workflow and all that this calls.

    `entity` is a launch plan of the SDK, or a workflow (also as a resource, whose project and domain it then shares)
    together with `name`, inputs and schedule; without `name` the workflow's default launch plan is meant. `active`
    makes the declared version the active one, whose schedule fires; False keeps every version inactive.
    """

    entity: authoring.LaunchPlan | authoring.Workflow | Workflow
    project: Project | str | None = None
    domain: str | None = None
    active: bool = field(default=True, kw_only=True)
    name: str | None = field(default=None, kw_only=True)
    default_inputs: Mapping[str, Any] | None = field(default=None, kw_only=True)
    fixed_inputs: Mapping[str, Any] | None = field(default=None, kw_only=True)
    schedule: authoring.CronSchedule | authoring.FixedRate | None = field(default=None, kw_only=True)


@contextmanager
def collecting() -> Iterator[list[Resource]]:
    """Gather what is declared while the block runs, in the order of declaration."""
    declared: list[Resource] = []
    token = _collected.set(declared)
    try:
        yield declared
    finally:
        _collected.reset(token)
