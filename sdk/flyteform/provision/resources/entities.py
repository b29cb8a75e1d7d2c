"""Projects, tasks, workflows, and what is said about their names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from flyteform.errors import DefinitionError
from flyteform.provision.resources.base import Resource, check_entity, check_texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform import authoring


@dataclass(frozen=True, eq=False)
class Project(Resource):
    """A project. What is left out is left as the platform has it; a new project is named by its id."""

    id: str
    name: str | None = None
    description: str | None = None
    labels: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        """Refuse labels that are none."""
        check_texts("Project", "labels", self.labels)
        super().__post_init__()


@dataclass(frozen=True, eq=False)
class Task(Resource):
    """A task in a project and domain; both default to those that the plan is made for.

    `entity` is a task of this SDK or of flytekit. `description` is what consoles show beside its name.
    """

    entity: authoring.PythonTask | authoring.MapTask | Any
    project: Project | str | None = None
    domain: str | None = None
    description: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse what no SDK has made."""
        check_entity("Task", self.entity)
        super().__post_init__()


@dataclass(frozen=True, eq=False)
class Workflow(Resource):
    """A workflow with all that it calls, and its default launch plan, which has the workflow's own name.

    `entity` is a workflow of this SDK or of flytekit. `description` is what consoles show beside its name.
    """

    entity: authoring.Workflow | Any
    project: Project | str | None = None
    domain: str | None = None
    description: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse what no SDK has made."""
        check_entity("Workflow", self.entity)
        super().__post_init__()


@dataclass(frozen=True, eq=False)
class Metadata(Resource):
    """What consoles show about the name of a task, workflow or launch plan that is registered in another way.

    `description` and `archived` are left as the platform has them where they are not given.
    """

    kind: Literal["task", "workflow", "launch_plan"]
    name: str
    project: Project | str | None = None
    domain: str | None = None
    description: str | None = field(default=None, kw_only=True)
    archived: bool | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse what says nothing."""
        if self.kind not in ("task", "workflow", "launch_plan"):
            raise DefinitionError(f"Metadata: {self.kind!r} has none", remedy='use "task", "workflow" or "launch_plan"')
        if self.description is None and self.archived is None:
            raise DefinitionError(f"Metadata of {self.name} says nothing", remedy="give description or archived")
        super().__post_init__()
