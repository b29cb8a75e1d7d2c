"""What is registered already, by whomever, declared by its name and version: its source is not needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flyteform.authoring import Workflow as AuthoredWorkflow
from flyteform.errors import DefinitionError
from flyteform.provision.resources.base import Resource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform.authoring.graph import Graph
    from flyteform.provision.resources.entities import Project


@dataclass(frozen=True, eq=False)
class RegisteredTask(Resource):
    """A version of a task that is registered; it is kept in use, and nothing of it is written."""

    name: str
    version: str
    project: Project | str | None = None
    domain: str | None = None

    def __post_init__(self) -> None:
        """Refuse what names no version."""
        _check(self, self.name, self.version)
        super().__post_init__()


@dataclass(frozen=True, eq=False)
class RegisteredWorkflow(Resource):
    """A version of a workflow that is registered; it is kept in use, and nothing of it is written.

    With the Python types of its `inputs` launch plans for it can be declared: `LaunchPlan(workflow, name=…)`.
    """

    name: str
    version: str
    project: Project | str | None = None
    domain: str | None = None
    inputs: Mapping[str, Any] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse what names no version."""
        _check(self, self.name, self.version)
        super().__post_init__()

    @cached_property
    def entity(self) -> RegisteredDefinition:
        """The workflow as launch plans see it: a name and an interface."""
        from flyteform.authoring.interface import Input, Interface
        from flyteform.authoring.workflows import WorkflowFailurePolicy

        if self.inputs is None:
            raise DefinitionError(
                f"RegisteredWorkflow {self.name}: a launch plan needs to know its inputs",
                remedy='give their types: inputs={"x": int}',
            )
        inputs = tuple(Input(name, python_type) for name, python_type in sorted(self.inputs.items()))
        policy = WorkflowFailurePolicy.FAIL_IMMEDIATELY
        return RegisteredDefinition(
            "", self.name, Interface(inputs, ()), policy, None, "", _elsewhere, version=self.version
        )


@dataclass(frozen=True, eq=False)
class RegisteredLaunchPlan(Resource):
    """A version of a launch plan that is registered.

    `active` makes it the active one; False keeps every version inactive, None leaves that alone.
    """

    name: str
    version: str
    project: Project | str | None = None
    domain: str | None = None
    active: bool | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse what names no version."""
        _check(self, self.name, self.version)
        super().__post_init__()


@dataclass(frozen=True, eq=False)
class RegisteredDefinition(AuthoredWorkflow):
    """A workflow whose definition is elsewhere."""

    version: str = field(kw_only=True)

    @property
    def name(self) -> str:
        """The name under which it is registered."""
        return self.function_name

    @cached_property
    def graph(self) -> Graph:
        """No nodes: nobody here runs it."""
        from flyteform.authoring.graph import Graph

        return Graph((), ())


def _elsewhere() -> None:
    """Stand for code that is registered elsewhere."""


def _check(resource: Resource, name: object, version: object) -> None:
    if not all(isinstance(each, str) and each for each in (name, version)):
        raise DefinitionError(
            f"{type(resource).__name__} takes a name and a version", remedy='write them as texts: ("jobs.clean", "v7")'
        )
