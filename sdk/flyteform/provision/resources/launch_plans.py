"""Launch plans: what is started, when, how, and who is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from flyteform.errors import DefinitionError
from flyteform.provision.resources.base import Resource, check_count, check_texts, is_flytekit
from flyteform.provision.resources.entities import Project, Workflow
from flyteform.provision.resources.registered import RegisteredWorkflow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform import authoring
    from flyteform.provision.resources.attributes import QualityOfService

Phase = Literal["SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"]
Behavior = Literal["SKIP", "WAIT", "ABORT", "REPLACE"]
_PHASES = ("SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT")
_MOST_CAUGHT_UP = 1000
_BEHAVIORS = ("SKIP", "WAIT", "ABORT", "REPLACE")


@dataclass(frozen=True)
class Notification:
    """Who is told when an execution ends in one of these phases; use `Email`, `Slack` or `PagerDuty`."""

    recipients: tuple[str, ...]
    phases: tuple[Phase, ...] = ("FAILED", "TIMED_OUT")

    def __post_init__(self) -> None:
        """Take single texts too; refuse what no platform can send."""
        for name in ("recipients", "phases"):
            given: Any = getattr(self, name)
            object.__setattr__(self, name, (given,) if isinstance(given, str) else tuple(given))
        kind = type(self).__name__
        recipients: tuple[Any, ...] = self.recipients
        if not recipients or not all(isinstance(each, str) and each for each in recipients):
            raise DefinitionError(f"{kind}: somebody has to be told", remedy='write for example ["me@example.org"]')
        if not self.phases or not set(self.phases) <= set(_PHASES):
            raise DefinitionError(f"{kind}: {self.phases} are no final phases", remedy=f"use {', '.join(_PHASES)}")


class Email(Notification):
    """An e-mail."""


class Slack(Notification):
    """A message to Slack; stock FlyteAdmin sends it as an e-mail to the channel's address."""


class PagerDuty(Notification):
    """A message to PagerDuty; stock FlyteAdmin sends it as an e-mail to the service's address."""


@dataclass(frozen=True)
class Concurrency:
    """How many executions of a launch plan may run at once, and what becomes of one that is too many.

    It is skipped (Flyte's own policy), waits for its turn, is aborted with an error, or replaces the oldest. The last
    three need a flyteform control plane and are refused in the plan where there is none.
    """

    max: int
    behavior: Behavior = "SKIP"

    def __post_init__(self) -> None:
        """Refuse what no platform has."""
        if self.max < 1:
            raise DefinitionError(f"Concurrency(max={self.max}): at least one has to be able to run")
        if self.behavior not in _BEHAVIORS:
            raise DefinitionError(f"Concurrency: {self.behavior!r} is no policy", remedy=f"use {', '.join(_BEHAVIORS)}")


@dataclass(frozen=True, eq=False)
class LaunchPlan(Resource):
    """A launch plan with its workflow and all that this calls.

    `entity` is a launch plan of this SDK or of flytekit, or a workflow (also as a resource, whose project and domain it
    then shares) together with `name`, inputs and schedule; without `name` the workflow's default launch plan is meant.
    `active` makes the declared version the active one, whose schedule fires; False keeps every version inactive.
    `catch_up` is how many of the schedule's firings that were missed during a standstill of the platform are made up
    for, the latest ones; like most of `concurrency` it needs a flyteform control plane. The other fields
    say how its executions run; what is left out is left to the settings of workflow, domain and project.
    `imported` is what `flyteform import` writes: the version that was registered with just these fields. As soon as one
    of them is changed, it counts no longer.
    """

    entity: authoring.LaunchPlan | authoring.Workflow | Workflow | Any
    project: Project | str | None = None
    domain: str | None = None
    active: bool = field(default=True, kw_only=True)
    name: str | None = field(default=None, kw_only=True)
    default_inputs: Mapping[str, Any] | None = field(default=None, kw_only=True)
    fixed_inputs: Mapping[str, Any] | None = field(default=None, kw_only=True)
    schedule: authoring.Schedule | None = field(default=None, kw_only=True)
    description: str | None = field(default=None, kw_only=True)
    notifications: tuple[Notification, ...] = field(default=(), kw_only=True)
    concurrency: Concurrency | None = field(default=None, kw_only=True)
    catch_up: int | None = field(default=None, kw_only=True)
    labels: Mapping[str, str] | None = field(default=None, kw_only=True)
    annotations: Mapping[str, str] | None = field(default=None, kw_only=True)
    environment: Mapping[str, str] | None = field(default=None, kw_only=True)
    max_parallelism: int | None = field(default=None, kw_only=True)
    raw_output_prefix: str | None = field(default=None, kw_only=True)
    service_account: str | None = field(default=None, kw_only=True)
    iam_role: str | None = field(default=None, kw_only=True)
    interruptible: bool | None = field(default=None, kw_only=True)
    overwrite_cache: bool = field(default=False, kw_only=True)
    quality_of_service: QualityOfService | None = field(default=None, kw_only=True)
    cluster_pool: str | None = field(default=None, kw_only=True)
    imported: str | None = field(default=None, kw_only=True)
    definition: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make the launch plan here, so that an error in it names the line of the declaration."""
        given: object = self.notifications
        object.__setattr__(
            self, "notifications", (given,) if isinstance(given, Notification) else tuple(self.notifications)
        )
        if not all(isinstance(each, Notification) for each in self.notifications):
            raise DefinitionError("LaunchPlan: notifications takes Email, Slack and PagerDuty")
        for name in ("labels", "annotations", "environment"):
            check_texts("LaunchPlan", name, getattr(self, name))
        check_count("LaunchPlan", "max_parallelism", self.max_parallelism)
        check_count("LaunchPlan", "catch_up", self.catch_up)
        if self.catch_up is not None and not 0 <= self.catch_up <= _MOST_CAUGHT_UP:
            raise DefinitionError(f"LaunchPlan: catch_up={self.catch_up}", remedy=f"use 0 to {_MOST_CAUGHT_UP}")
        object.__setattr__(self, "definition", self._defined())
        super().__post_init__()

    def _defined(self) -> Any:
        from flyteform.authoring import LaunchPlan as Definition

        entity = self.entity.entity if isinstance(self.entity, Workflow | RegisteredWorkflow) else self.entity
        if is_flytekit(entity):
            from flyteform.provision.flytekit import launch_plan_of

            return launch_plan_of(entity, self)
        if not isinstance(entity, Definition):
            return Definition(
                name=self.name or str(getattr(entity, "name", "")),
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
