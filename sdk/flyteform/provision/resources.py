"""The resources that a declaration is made of. Creating one declares it, so loops and functions work."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
    """A project. What is left out is left as the platform has it; `name` defaults to the id for a new project."""

    id: str
    name: str | None = None
    description: str | None = None
    labels: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Task(Resource):
    """A task in a project and domain; both default to those that the plan is made for."""

    entity: authoring.PythonTask
    project: str | None = None
    domain: str | None = None


@dataclass(frozen=True)
class Workflow(Resource):
    """A workflow with all that it calls, and its default launch plan, which has the workflow's own name."""

    entity: authoring.Workflow
    project: str | None = None
    domain: str | None = None


@dataclass(frozen=True)
class LaunchPlan(Resource):
    """A launch plan with its workflow and all that this calls.

    `entity` is a launch plan, or a workflow whose default launch plan is meant. With `active` the declared version
    becomes the active one, and its schedule fires; without, no version is active.
    """

    entity: authoring.LaunchPlan | authoring.Workflow
    project: str | None = None
    domain: str | None = None
    active: bool = field(default=True, kw_only=True)


@contextmanager
def collecting() -> Iterator[list[Resource]]:
    """Gather what is declared while the block runs, in the order of declaration."""
    declared: list[Resource] = []
    token = _collected.set(declared)
    try:
        yield declared
    finally:
        _collected.reset(token)
