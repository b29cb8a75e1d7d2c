"""Policies: the users' own checks over a plan, as functions in Python.

    from flyteform.provision.policy import deny, policy

    @policy
    def images_have_tags(proposal):
        for task in proposal.tasks():
            if ":" not in task.template.container.image:
                yield deny("the image has no tag", task)

A check is given a `Proposal` and yields what `deny` and `warn` return. What it takes besides are its parameters.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from flyteform.provision.errors import PolicyError
from flyteform.provision.impact.diff import LaunchPlanDefinition, TaskDefinition, WorkflowDefinition, wanted
from flyteform.provision.model import Action, Address, Kind
from flyteform.provision.verdicts import Level, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from flyteidl.admin import launch_plan_pb2
    from flyteidl.core import tasks_pb2, workflow_pb2

    from flyteform.provision.model import Change, Entity, Plan

    Check = Callable[..., "Iterable[Finding] | Finding | None"]
    Definition = TypeVar("Definition", TaskDefinition, WorkflowDefinition, LaunchPlanDefinition)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has found, made by `deny` and `warn`."""

    level: Level
    message: str
    addresses: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class DeclaredTask:
    """A task that the plan registers or leaves as it is."""

    address: Address
    version: str
    changed: bool
    template: tasks_pb2.TaskTemplate


@dataclass(frozen=True, slots=True)
class DeclaredWorkflow:
    """A workflow that the plan registers or leaves as it is."""

    address: Address
    version: str
    changed: bool
    template: workflow_pb2.WorkflowTemplate


@dataclass(frozen=True, slots=True)
class DeclaredLaunchPlan:
    """A launch plan that the plan registers, activates or leaves; `active` is whether its schedule will fire."""

    address: Address
    version: str
    changed: bool
    active: bool
    spec: launch_plan_pb2.LaunchPlanSpec

    @property
    def scheduled(self) -> bool:
        """Whether it is active and has a schedule."""
        return self.active and self.spec.entity_metadata.schedule.WhichOneof("ScheduleExpression") is not None


Subject = Address | DeclaredTask | DeclaredWorkflow | DeclaredLaunchPlan


@dataclass(frozen=True)
class Proposal:
    """What a check looks at: the plan, and what it is about in the form of FlyteIDL's messages.

    The lists have what the plan changes; `everything=True` adds what it leaves as it is.
    """

    plan: Plan

    @property
    def changes(self) -> tuple[Change, ...]:
        """The steps of the plan, with their differences and impacts."""
        return self.plan.steps

    def tasks(self, *, everything: bool = False) -> tuple[DeclaredTask, ...]:
        """Return the tasks."""
        return tuple(
            DeclaredTask(entity.address, entity.version, changed, definition.template)
            for entity, changed, definition in self._declared(TaskDefinition, everything=everything)
        )

    def workflows(self, *, everything: bool = False) -> tuple[DeclaredWorkflow, ...]:
        """Return the workflows."""
        return tuple(
            DeclaredWorkflow(entity.address, entity.version, changed, definition.template)
            for entity, changed, definition in self._declared(WorkflowDefinition, everything=everything)
        )

    def launch_plans(self, *, everything: bool = False) -> tuple[DeclaredLaunchPlan, ...]:
        """Return the launch plans."""
        return tuple(
            DeclaredLaunchPlan(entity.address, entity.version, changed, bool(entity.active), definition.spec)
            for entity, changed, definition in self._declared(LaunchPlanDefinition, everything=everything)
        )

    def users_of(self, address: Address) -> frozenset[Address]:
        """Return all that uses an entity in the declaration, directly or not."""
        found: set[Address] = set()
        waiting = [address]
        while waiting:
            users = self._users.get(waiting.pop(), set()) - found
            found |= users
            waiting += users
        return frozenset(found)

    @functools.cached_property
    def _users(self) -> dict[Address, set[Address]]:
        users: dict[Address, set[Address]] = {}
        for entity in self.plan.desired.entities:
            for used in entity.depends_on:
                users.setdefault(used, set()).add(entity.address)
        return users

    @functools.cached_property
    def _changed(self) -> frozenset[Address]:
        gone = (Action.ARCHIVE, Action.DEACTIVATE, Action.REMOVE)
        return frozenset(change.address for change in self.plan.steps if change.action not in gone)

    def _declared(self, kind: type[Definition], *, everything: bool) -> Iterable[tuple[Entity, bool, Definition]]:
        if self.plan.destroy:
            return
        for entity in self.plan.desired.entities:
            changed = entity.address in self._changed
            if (changed or everything) and entity.address.kind is _KINDS[kind] and entity.spec:
                definition = wanted(entity)
                if isinstance(definition, kind):
                    yield entity, changed, definition


_KINDS: Mapping[type, Kind] = {
    TaskDefinition: Kind.TASK,
    WorkflowDefinition: Kind.WORKFLOW,
    LaunchPlanDefinition: Kind.LAUNCH_PLAN,
}


@dataclass(frozen=True)
class Policy:
    """A named check with its parameters."""

    name: str
    check: Check
    parameters: Mapping[str, Any] = field(default_factory=dict)
    module: str | None = None

    def configured(self, **parameters: Any) -> Policy:
        """Return the same check with other parameters."""
        return replace(self, parameters={**self.parameters, **parameters}, module=None)


def policy(check: Check) -> Policy:
    """Make a check a policy, named as the function."""
    return Policy(check.__name__, check, module=check.__module__)


def deny(message: str, *subjects: Subject) -> Finding:
    """Say that the plan must not be applied, because of these."""
    return Finding(Level.DENY, message, _addresses(subjects))


def warn(message: str, *subjects: Subject) -> Finding:
    """Say something that a person should know before applying."""
    return Finding(Level.WARN, message, _addresses(subjects))


def judge_by(plan: Plan, policies: Iterable[Policy]) -> Plan:
    """Return the plan with what the policies say; `PolicyError` if one of them fails itself."""
    proposal = Proposal(plan)
    found = [verdict for each in policies for verdict in _verdicts(each, proposal)]
    return replace(plan, verdicts=tuple(dict.fromkeys(found)))


def _verdicts(each: Policy, proposal: Proposal) -> list[Verdict]:
    try:
        given = each.check(proposal, **each.parameters)
        findings = [given] if isinstance(given, Finding) else list(given or ())
    except (Exception, SystemExit) as error:  # what users' code raises cannot be foreseen
        raise PolicyError(
            f"policy {each.name} fails at {_line_of(error)}: {type(error).__name__}: {error}",
            remedy="mend it; nothing is applied that a policy could not judge",
        ) from error
    for finding in findings:
        if not isinstance(finding, Finding):
            raise PolicyError(
                f"policy {each.name} gives {finding!r}, which is no finding", remedy="yield deny(…) or warn(…)"
            )
    return [Verdict(each.name, finding.level, finding.message, finding.addresses) for finding in findings]


def _line_of(error: BaseException) -> str:
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return "an unknown place" if at is None else f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}"


def _addresses(subjects: tuple[Subject, ...]) -> tuple[Address, ...]:
    return tuple(each if isinstance(each, Address) else each.address for each in subjects)
