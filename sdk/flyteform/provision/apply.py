"""Carry a plan out. The only writer: what goes first is what others need, activations come last, then removals."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from flyteform.errors import FlyteformError
from flyteform.provision.errors import StalePlanError
from flyteform.provision.ledger import Ledger
from flyteform.provision.model import REGISTRATIONS, Action, Kind
from flyteform.provision.write import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flyteform.client.admin import AdminClient
    from flyteform.provision.model import Address, Change, Plan
    from flyteform.provision.ports import StateStore


_CONCURRENCY = 16  # steps at a time


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


async def execute(
    plan: Plan, client: AdminClient, store: StateStore, on_progress: Callable[[Outcome], None] | None = None
) -> ApplyResult:
    """Apply the steps of a plan; a step that fails stops only what depends on it. The caller holds the store's lock.

    What will be owned is recorded before the first write, and every step after it is done, so that the next plan is
    right wherever this is interrupted.
    """
    state = await store.load()
    if state.serial != plan.serial:
        raise StalePlanError(
            f"another apply has changed {store.location} since this plan was made", remedy="plan again"
        )
    ledger = Ledger(store, state)
    await ledger.begin(plan)
    run = _Run(Writer(plan, client), ledger, on_progress or (lambda _: None))
    for stage in _stages(plan):
        await run.stage(stage)
    await ledger.finish(plan, run.failed)
    return ApplyResult(tuple(run.outcomes))


def _stages(plan: Plan) -> Iterator[list[Change]]:
    """Split the steps where all before has to be over: registration, activation, then removal by kind."""
    steps = plan.steps
    removed = plan.removed
    yield [step for step in steps if step.action in REGISTRATIONS or step.action is Action.UPDATE]
    yield [
        step for step in steps if step.action in (Action.ACTIVATE, Action.DEACTIVATE) and step.address not in removed
    ]
    for kind in (Kind.LAUNCH_PLAN, Kind.WORKFLOW, Kind.TASK, Kind.PROJECT):
        yield [step for step in steps if step.address in removed and step.address.kind is kind]


class _Run:
    """The walk over the steps: who waits for whom, and what failed so far."""

    def __init__(self, writer: Writer, ledger: Ledger, notify: Callable[[Outcome], None]) -> None:
        self.failed: set[Address] = set()
        self.outcomes: list[Outcome] = []
        self._writer = writer
        self._ledger = ledger
        self._notify = notify
        self._slots = asyncio.Semaphore(_CONCURRENCY)

    async def stage(self, steps: Iterable[Change]) -> None:
        """Take the steps in parallel, each after those of the same stage that it depends on."""
        newest: dict[Address, asyncio.Task[None]] = {}
        tasks = []
        for step in steps:
            before = [newest[address] for address in (*step.depends_on, step.address) if address in newest]
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
        blocking = next((each for each in (step.address, *step.depends_on) if each in self.failed), None)
        if blocking is not None:
            self._end(Outcome(step, Status.SKIPPED, FlyteformError(f"{blocking} was not applied")))
            return
        async with self._slots:
            self._notify(Outcome(step, Status.STARTED))
            started = time.monotonic()
            error = await self._write(step)
        status = Status.APPLIED if error is None else Status.FAILED
        self._end(Outcome(step, status, error, time.monotonic() - started))

    async def _write(self, step: Change) -> FlyteformError | None:
        try:
            await self._writer.write(step)
            await self._ledger.record(step)
        except FlyteformError as error:
            return error
        return None

    def _end(self, outcome: Outcome) -> None:
        if outcome.status is not Status.APPLIED:
            self.failed.add(outcome.change.address)
        self.outcomes.append(outcome)
        self._notify(outcome)
