"""What the judgement of a plan needs to know of the platform. Plain data; who gathers it asks for what changes only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteidl.admin import launch_plan_pb2

    from flyteform.provision.impact.diff import Definition, WorkflowDefinition
    from flyteform.provision.impact.interfaces import Interface
    from flyteform.provision.model import Address


@dataclass(frozen=True, slots=True)
class Previous:
    """The version that a changed entity follows."""

    version: str
    definition: Definition
    interface: Interface


@dataclass(frozen=True, slots=True)
class CacheDataset:
    """Where Flyte keeps the cached results of a task: another interface or cache version is another dataset."""

    project: str
    domain: str
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are; `more` says that counting stopped there."""

    number: int
    more: bool = False

    def __str__(self) -> str:
        return f"{self.number} or more" if self.more else str(self.number)


@dataclass(frozen=True, slots=True)
class InFlight:
    """Executions that have not ended, by the version that they run; a count of None if they cannot be listed."""

    count: Count | None
    versions: Mapping[str, int] = field(default_factory=dict)
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found.

    `workflows` are the newest versions of others' workflows where something changes incompatibly, `unread` how many
    more there are; `launch_plans` are the active ones of changed workflows; `active` has the active version of
    launch plans that are activated or deactivated, `referenced` those that are declared by their version alone. An
    entry count of None means that DataCatalog could not be asked.
    """

    previous: Mapping[Address, Previous] = field(default_factory=dict)
    workflows: Mapping[Address, WorkflowDefinition] = field(default_factory=dict)
    unread: int = 0
    launch_plans: tuple[launch_plan_pb2.LaunchPlan, ...] = ()
    active: Mapping[Address, launch_plan_pb2.LaunchPlan] = field(default_factory=dict)
    referenced: Mapping[Address, launch_plan_pb2.LaunchPlan] = field(default_factory=dict)
    cached: Mapping[CacheDataset, Count | None] = field(default_factory=dict)
    in_flight: Mapping[Address, InFlight] = field(default_factory=dict)
