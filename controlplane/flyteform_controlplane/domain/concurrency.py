"""How many executions of a launch plan may run at once, and what follows for those that are too many.

Counted are all versions of the launch plan, and everything that is created and has not ended (contract 1.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from flyteidl.admin.launch_plan_pb2 import CONCURRENCY_LIMIT_BEHAVIOR_SKIP

from flyteform_controlplane.domain.records import Record
from flyteform_controlplane.errors import EntityExistsError, ResourceExhaustedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteidl.admin.launch_plan_pb2 import LaunchPlanSpec

    from flyteform_controlplane.domain.ports import ExecutionKey

REPLACED = "replaced by a newer execution: the launch plan's concurrency policy is REPLACE"
_ABORTING = "ABORTING"


class Behavior(StrEnum):
    """What happens to the execution that is too many; SKIP is Flyte's, `flyteform.v1` carries the others."""

    SKIP = "SKIP"
    WAIT = "WAIT"
    ABORT = "ABORT"
    REPLACE = "REPLACE"


@dataclass(frozen=True, slots=True)
class LaunchPlanName:
    """A launch plan over all its versions."""

    project: str
    domain: str
    name: str


@dataclass(frozen=True, slots=True)
class Policy:
    """At most `max` executions at once."""

    max: int
    behavior: Behavior


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRecord(Record):
    """The policy that was set for a launch plan; `behavior` is the text of a Behavior."""

    project: str
    domain: str
    name: str
    max: int
    behavior: str

    @property
    def policy(self) -> Policy:
        """What it says."""
        return Policy(self.max, Behavior(self.behavior))


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRecord(Record):
    """An execution that is created and has its turn to come; `project` to `name` are its launch plan's."""

    execution_project: str
    execution_domain: str
    execution_name: str
    project: str
    domain: str
    name: str
    cluster_label: str = ""


@dataclass(frozen=True, slots=True)
class Live:
    """An execution that has not ended: one that waits (then with its row), or one that has a slot."""

    key: ExecutionKey
    phase: str
    waiting: WaitingRecord | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done now: executions that start, and others that are aborted to make room."""

    start: tuple[WaitingRecord, ...] = ()
    abort: tuple[ExecutionKey, ...] = ()


def policy_of(spec: LaunchPlanSpec, record: PolicyRecord | None) -> Policy | None:
    """Return the policy for executions of this version: the one set for the name goes before the spec's."""
    if record is not None:
        return record.policy
    # Flyte has no other behaviour, and counts an unspecified one as no limit.
    if spec.concurrency_policy.behavior == CONCURRENCY_LIMIT_BEHAVIOR_SKIP:
        return Policy(spec.concurrency_policy.max, Behavior.SKIP)
    return None


def admit(policy: Policy, live: Sequence[Live], launch_plan: str) -> bool:
    """Say whether a new execution may start now; False if it has to wait; raises if it must not be created."""
    # Nobody overtakes those that wait.
    if len(live) < policy.max and not any(one.waiting for one in live):
        return True
    match policy.behavior:
        case Behavior.SKIP:
            raise EntityExistsError(
                f"concurrency limit ({policy.max}) reached for launch plan {launch_plan}; skipping execution"
            )
        case Behavior.ABORT:
            raise ResourceExhaustedError(
                f"concurrency limit ({policy.max}) reached for launch plan {launch_plan}; the execution is aborted",
                remedy="try again when a running one has ended",
            )
        case _:
            return False


def step(policy: Policy | None, live: Sequence[Live]) -> Step:
    """Return what follows from the executions that are live, oldest first."""
    waiting = [one for one in live if one.waiting]
    if not waiting:
        return Step()
    if policy is None:
        return Step(start=tuple(one.waiting for one in waiting if one.waiting))
    free = max(policy.max - (len(live) - len(waiting)), 0)
    if policy.behavior is not Behavior.REPLACE:
        return Step(start=tuple(one.waiting for one in waiting[:free] if one.waiting))
    staying = [one for one in live if one.phase != _ABORTING]
    kept = staying[-policy.max :]
    start = tuple(one.waiting for one in kept if one.waiting)[:free]
    return Step(start, abort=tuple(one.key for one in staying[: -policy.max]))
