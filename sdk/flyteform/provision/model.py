"""The nouns of provisioning: what is named, what is wanted, what would change. Plain frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(StrEnum):
    """What can be provisioned."""

    PROJECT = "project"
    TASK = "task"
    WORKFLOW = "workflow"
    LAUNCH_PLAN = "launch_plan"

    @property
    def label(self) -> str:
        """The word for people."""
        return self.value.replace("_", " ")


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """One named thing, whatever its version. A project has no domain and is its own name."""

    kind: Kind
    project: str
    domain: str
    name: str

    def __str__(self) -> str:
        place = f" in {self.project}/{self.domain}" if self.domain else ""
        return f"{self.kind.label} {self.name}{place}"


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """A declared project. None means: not declared, leave what the platform has."""

    id: str
    name: str | None = None
    description: str | None = None
    labels: Mapping[str, str] | None = None

    @property
    def address(self) -> Address:
        """Where it lies."""
        return project_address(self.id)


@dataclass(frozen=True, slots=True)
class Entity:
    """A wanted version of a task, workflow or launch plan.

    `spec` is the serialised TaskSpec, WorkflowSpec or LaunchPlanSpec with its ids in place; in a task's spec the
    placeholder stands where the URI of its code bundle goes, and `bundle` names that bundle. `active` is for launch
    plans: whether this version shall be the active one, None to leave that alone.
    """

    address: Address
    version: str
    spec: bytes
    depends_on: tuple[Address, ...] = ()
    bundle: str | None = None
    active: bool | None = None


@dataclass(frozen=True, slots=True)
class Desired:
    """All that a declaration wants: entities after those that they depend on, bundles by their digest."""

    projects: tuple[ProjectSettings, ...] = ()
    entities: tuple[Entity, ...] = ()
    bundles: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def addresses(self) -> frozenset[Address]:
        """Everything that the declaration owns."""
        projects = frozenset(project.address for project in self.projects)
        return projects | frozenset(entity.address for entity in self.entities)


class Action(StrEnum):
    """What happens to one resource."""

    CREATE = "create"
    NEW_VERSION = "new-version"
    UPDATE = "update"
    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    ARCHIVE = "archive"
    NO_OP = "no-op"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field: None stands for absent."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a plan, with why it is taken and what it alters.

    `version` is the version that the step writes or acts on, `previous` the one that it follows.
    """

    action: Action
    address: Address
    reason: str
    version: str | None = None
    previous: str | None = None
    fields: tuple[FieldChange, ...] = ()
    depends_on: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """How many resources a plan touches, each counted once."""

    create: int = 0
    update: int = 0
    archive: int = 0
    unchanged: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done to one platform, in an order in which it can be done.

    `serial` is that of the state which the plan was made from.
    """

    endpoint: str
    desired: Desired
    changes: tuple[Change, ...]
    destroy: bool = False
    serial: int = 0

    @property
    def steps(self) -> tuple[Change, ...]:
        """The changes that write something."""
        return tuple(change for change in self.changes if change.action is not Action.NO_OP)

    @property
    def removed(self) -> frozenset[Address]:
        """What goes out of use because it is not declared, or all of it is destroyed."""
        found = frozenset(change.address for change in self.changes if change.action in REMOVALS)
        return found if self.destroy else found - self.desired.addresses

    @property
    def has_changes(self) -> bool:
        """Whether an apply would write anything to the platform."""
        return bool(self.steps)

    @property
    def counts(self) -> Counts:
        """Count resources by the weightiest thing that happens to each."""
        actions: dict[Address, set[Action]] = {}
        for change in self.changes:
            actions.setdefault(change.address, set()).add(change.action)
        create = sum(Action.CREATE in found for found in actions.values())
        archive = sum(bool(found & REMOVALS) for found in actions.values())
        unchanged = sum(found == {Action.NO_OP} for found in actions.values())
        return Counts(create, len(actions) - create - archive - unchanged, archive, unchanged)


REMOVALS = frozenset({Action.ARCHIVE, Action.DEACTIVATE})
REGISTRATIONS = frozenset({Action.CREATE, Action.NEW_VERSION})


def project_address(project: str) -> Address:
    """Return the address of a project."""
    return Address(Kind.PROJECT, project, "", project)
