"""The nouns of provisioning: what is named, what is wanted, what would change. Plain frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform.provision.impact.model import Impact
    from flyteform.provision.state import Record
    from flyteform.provision.verdicts import Verdict


class Kind(StrEnum):
    """What can be provisioned.

    Settings are matchable attributes, a policy is what `flyteform.v1` keeps beside a launch plan, metadata is what is
    said about the name of a task, workflow or launch plan: none of them has versions, nor has a cluster.
    """

    PROJECT = "project"
    CLUSTER = "cluster"
    SETTINGS = "settings"
    TASK = "task"
    WORKFLOW = "workflow"
    LAUNCH_PLAN = "launch_plan"
    POLICY = "policy"
    METADATA = "metadata"

    @property
    def label(self) -> str:
        """The word for people."""
        return self.value.replace("_", " ")


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """One named thing, whatever its version. A project has no domain and is its own name; a cluster lies in none.

    Settings are named by their attribute (`task_resource`), those of one workflow by `workflow/attribute`; settings of
    a whole project have no domain. A policy has its launch plan's name, metadata is named `kind/name`.
    """

    kind: Kind
    project: str
    domain: str
    name: str

    def __str__(self) -> str:
        if self.kind in PLACELESS:
            return f"{self.kind.label} {self.name}"
        return f"{self.kind.label} {self.name} in {self.project}{'/' if self.domain else ''}{self.domain}"


@dataclass(frozen=True, slots=True)
class Options:
    """What a declaration says about how one resource is treated, rather than about what it is.

    `protect` refuses every plan that takes it out of use; `ignore_changes` names fields (`schedule`, `labels.*`) whose
    difference from the platform is left alone; `depends_on` goes first; `moved` are the addresses that it had before.
    """

    protect: bool = False
    ignore_changes: tuple[str, ...] = ()
    depends_on: tuple[Address, ...] = ()
    moved: tuple[Address, ...] = ()


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
    plans: whether this version shall be the active one, None to leave that alone. `code` has the digests of the modules
    that a task can reach, which are part of its version.
    """

    address: Address
    version: str
    spec: bytes
    depends_on: tuple[Address, ...] = ()
    bundle: str | None = None
    active: bool | None = None
    code: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Setting:
    """Something wanted that has no versions: settings, a policy, metadata, or a cluster.

    `spec` is the serialised MatchingAttributes, LaunchPlanPolicy, NamedEntityMetadata or Cluster; `fields` are those
    that are declared, as text: what is not among them is left as the platform has it.
    """

    address: Address
    spec: bytes
    fields: Mapping[str, str]
    depends_on: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Desired:
    """All that a declaration wants: entities after those that they depend on, bundles by their digest.

    `options` has the addresses for which any are given.
    """

    projects: tuple[ProjectSettings, ...] = ()
    entities: tuple[Entity, ...] = ()
    bundles: Mapping[str, bytes] = field(default_factory=dict)
    settings: tuple[Setting, ...] = ()
    options: Mapping[Address, Options] = field(default_factory=dict)

    @property
    def addresses(self) -> frozenset[Address]:
        """Everything that the declaration owns."""
        projects = frozenset(project.address for project in self.projects)
        entities = frozenset(entity.address for entity in self.entities)
        return projects | entities | frozenset(setting.address for setting in self.settings)


class Action(StrEnum):
    """What happens to one resource."""

    CREATE = "create"
    NEW_VERSION = "new-version"
    UPDATE = "update"
    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    ARCHIVE = "archive"
    REMOVE = "remove"
    REFRESH = "refresh"
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

    `version` is the version that the step writes or acts on, `previous` the one that it follows. `drift` says that
    the world has moved away from what was applied last, rather than that the declaration has changed. `impacts` are
    what else the step means; they tell of times and executions, so they do not count when two plans are compared.
    `breaking` marks an interface that some caller can no longer use.
    """

    action: Action
    address: Address
    reason: str
    version: str | None = None
    previous: str | None = None
    fields: tuple[FieldChange, ...] = ()
    depends_on: tuple[Address, ...] = ()
    drift: bool = False
    moved_from: Address | None = None
    impacts: tuple[Impact, ...] = field(default=(), compare=False)
    breaking: bool = field(default=False, compare=False)


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

    `serial` is that of the state which the plan was made from, `requests` how many calls it took to make the plan. With
    `refresh_only` nothing is written to the platform: an apply takes over into the state what the platform has, which
    is `refreshed`. `untouched` is owned and not selected: the plan leaves it alone, and so does the state.
    `verdicts` are what policies said, and `allow_breaking` that callers may break.
    """

    endpoint: str
    desired: Desired
    changes: tuple[Change, ...]
    destroy: bool = False
    serial: int = 0
    refresh_only: bool = False
    untouched: frozenset[Address] = frozenset()
    refreshed: Mapping[Address, Record | None] = field(default_factory=dict)
    requests: int = field(default=0, compare=False)
    verdicts: tuple[Verdict, ...] = field(default=(), compare=False)
    allow_breaking: bool = field(default=False, compare=False)

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
    def moved(self) -> frozenset[Address]:
        """Former addresses of what has another name now: they go out of use as soon as that is in use."""
        return frozenset(change.moved_from for change in self.changes if change.moved_from is not None)

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
        archive = sum(bool(found & REMOVALS) and Action.CREATE not in found for found in actions.values())
        unchanged = sum(found == {Action.NO_OP} for found in actions.values())
        return Counts(create, len(actions) - create - archive - unchanged, archive, unchanged)


# What is used goes before what uses it; removals go the other way round.
ORDER = tuple(Kind)
# What lies in no project and domain, and is named by its name alone.
PLACELESS = frozenset({Kind.PROJECT, Kind.CLUSTER})
REMOVALS = frozenset({Action.ARCHIVE, Action.DEACTIVATE, Action.REMOVE})
REGISTRATIONS = frozenset({Action.CREATE, Action.NEW_VERSION})


def project_address(project: str) -> Address:
    """Return the address of a project."""
    return Address(Kind.PROJECT, project, "", project)


def cluster_address(name: str) -> Address:
    """Return the address of a cluster."""
    return Address(Kind.CLUSTER, "", "", name)
