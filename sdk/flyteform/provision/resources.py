"""The resources that a declaration is made of. Creating one declares it, so loops and functions work."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flyteform.errors import DefinitionError

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

    entity: authoring.PythonTask | authoring.MapTask
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
    schedule: authoring.Schedule | None = field(default=None, kw_only=True)
    definition: authoring.LaunchPlan = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the launch plan here, so that an error in it names the line of the declaration."""
        object.__setattr__(self, "definition", self._defined())
        super().__post_init__()

    def _defined(self) -> authoring.LaunchPlan:
        from flyteform.authoring import LaunchPlan as Definition

        entity = self.entity.entity if isinstance(self.entity, Workflow) else self.entity
        if not isinstance(entity, Definition):
            return Definition(
                name=self.name or entity.name,
                workflow=entity,
                default_inputs=self.default_inputs or {},
                fixed_inputs=self.fixed_inputs or {},
                schedule=self.schedule,
            )
        if any(given is not None for given in (self.name, self.default_inputs, self.fixed_inputs, self.schedule)):
            raise DefinitionError(
                f"launch plan {entity.name!r} has its name, inputs and schedule already",
                remedy="write them where it is made, or give its workflow here",
            )
        return entity


@contextmanager
def collecting() -> Iterator[list[Resource]]:
    """Gather what is declared while the block runs, in the order of declaration."""
    declared: list[Resource] = []
    token = _collected.set(declared)
    try:
        yield declared
    finally:
        _collected.reset(token)
