"""Carry a plan out. The only writer: what goes first is what others need, activations come last, then removals."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from flyteform.errors import FlyteformError
from flyteform.provision.errors import StalePlanError, StateLostError
from flyteform.provision.ledger import Ledger
from flyteform.provision.model import REGISTRATIONS, Action, Kind, project_address
from flyteform.provision.records import goals_of
from flyteform.provision.write import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from flyteform.client.admin import AdminClient
    from flyteform.provision.model import Address, Change, Plan
    from flyteform.provision.ports import StateStore
    from flyteform.provision.state import Record


PARALLELISM = 16  # steps at a time
# What uses others goes out of use before them; all that lies in a project does before it.
_REMOVAL_ORDER = (
    Kind.LAUNCH_PLAN,
    Kind.WORKFLOW,
    Kind.TASK,
    *(kind for kind in Kind if kind not in (Kind.LAUNCH_PLAN, Kind.WORKFLOW, Kind.TASK, Kind.PROJECT)),
    Kind.PROJECT,
)
_WRITES = frozenset({*REGISTRATIONS, Action.UPDATE, Action.REFRESH})
_SWITCHES = frozenset({Action.ACTIVATE, Action.DEACTIVATE})


class Status(StrEnum):
    """How far a step has got."""

    STARTED = "started"
    APPLIED = "applied"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One step and how it went; `seconds` is the time that the platform took for it."""

    change: Change
    status: Status
    error: FlyteformError | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """How every step went, in the order in which they ended."""

    outcomes: tuple[Outcome, ...]

    @property
    def ok(self) -> bool:
        """Whether every step was applied."""
        return all(outcome.status is Status.APPLIED for outcome in self.outcomes)

    def with_status(self, status: Status) -> tuple[Outcome, ...]:
        """Return the steps that ended so."""
        return tuple(outcome for outcome in self.outcomes if outcome.status is status)


@dataclass(frozen=True, slots=True)
class Conduct:
    """How an apply goes about its steps.

    `parallelism` is how many it takes at a time. Once `interrupt` is set it begins no further one, and ends when those
    that run are done and recorded. `on_progress` is told when a step begins and ends.
    """

    parallelism: int = PARALLELISM
    on_progress: Callable[[Outcome], None] | None = None
    interrupt: asyncio.Event | None = None


async def execute(
    plan: Plan,
    client: AdminClient,
    store: StateStore,
    conduct: Conduct | None = None,
    goals: Mapping[Address, Record | None] | None = None,
) -> ApplyResult:
    """Apply the steps of a plan; a step that fails stops only what depends on it. The caller holds the store's lock.

    What will be owned is recorded before the first write, and every step after it is done, so that the next plan is
    right wherever this is interrupted. `goals` says what the state has to record of each address in the end, where
    that does not follow from what the plan declares.
    """
    state = await store.load()
    if state.serial != plan.serial:
        raise StalePlanError(
            f"another apply has changed {store.location} since this plan was made", remedy="plan again"
        )
    ledger = Ledger(store, state, goals_of(plan, state.owned) if goals is None else goals)
    await ledger.begin(plan)
    run = _Run(Writer(plan, client), ledger, conduct or Conduct())
    for stage in _stages(plan):
        await run.stage(stage)
    await ledger.finish(run.left.keys())
    return ApplyResult(tuple(run.outcomes))


def _stages(plan: Plan) -> Iterator[list[Change]]:
    """Split the steps where all before has to be over: registration, activation, then removal by kind."""
    steps = plan.steps
    removed = plan.removed
    yield [step for step in steps if step.action in _WRITES]
    # A launch plan that has another name now is replaced in this stage: its schedule neither rests nor fires twice.
    later = removed - plan.moved
    yield [step for step in steps if step.action in _SWITCHES and step.address not in later]
    for kind in _REMOVAL_ORDER:
        yield [
            step
            for step in steps
            if step.address in removed
            and step.address.kind is kind
            and (step.address in later or step.action not in _SWITCHES)
        ]


def _needed(step: Change) -> tuple[Address, ...]:
    """Return what a step comes after: its own address's steps, its project's, and what it depends on."""
    return (step.address, project_address(step.address.project), *step.depends_on)


class _Run:
    """The walk over the steps: who waits for whom, and what could not be done so far, with the reason."""

    def __init__(self, writer: Writer, ledger: Ledger, conduct: Conduct) -> None:
        self.left: dict[Address, str] = {}
        self.outcomes: list[Outcome] = []
        self._writer = writer
        self._ledger = ledger
        self._notify = conduct.on_progress or (lambda _: None)
        self._interrupt = conduct.interrupt or asyncio.Event()
        self._slots = asyncio.Semaphore(conduct.parallelism)

    async def stage(self, steps: Iterable[Change]) -> None:
        """Take the steps in parallel, each after those of the same stage that it depends on."""
        newest: dict[Address, asyncio.Task[None]] = {}
        tasks = []
        for step in steps:
            before = [newest[address] for address in _needed(step) if address in newest]
            newest[step.address] = asyncio.create_task(self._take(step, before))
            tasks.append(newest[step.address])
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self, step: Change, before: list[asyncio.Task[None]]) -> None:
        if before:
            await asyncio.wait(before)
        async with self._slots:
            if (reason := self._obstacle(step)) is not None:
                self._end(Outcome(step, Status.SKIPPED, FlyteformError(reason)), reason)
                return
            self._notify(Outcome(step, Status.STARTED))
            started = time.monotonic()
            error = await self._write(step)
            seconds = time.monotonic() - started
        if error is None:
            self._end(Outcome(step, Status.APPLIED, None, seconds))
        else:
            self._end(Outcome(step, Status.FAILED, error, seconds), f"{step.address} failed")

    def _obstacle(self, step: Change) -> str | None:
        """Return why a step cannot be taken: the failure at the root, or that no more steps may be."""
        for address in _needed(step):
            if address in self.left:
                return self.left[address]
        if self._interrupt.is_set():
            return "interrupted"
        try:
            self._ledger.check()
        except StateLostError as error:
            return error.message
        return None

    async def _write(self, step: Change) -> FlyteformError | None:
        try:
            await self._writer.write(step)
            await self._ledger.record(step)
        except FlyteformError as error:
            return error
        return None

    def _end(self, outcome: Outcome, reason: str | None = None) -> None:
        if reason is not None:
            self.left.setdefault(outcome.change.address, reason)
        self.outcomes.append(outcome)
        self._notify(outcome)
