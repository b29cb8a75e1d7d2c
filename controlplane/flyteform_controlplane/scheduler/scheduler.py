"""Creates executions at the times of the active launch plans' schedules."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from flyteidl.admin.execution_pb2 import ExecutionMetadata

from flyteform.errors import FlyteformError, InvalidInputError
from flyteform.schedules import from_idl, latest_firings, next_firing
from flyteform_controlplane.errors import ControlPlaneError, EntityExistsError, InvalidArgumentError
from flyteform_controlplane.scheduler.clock import Clock, SystemClock
from flyteform_controlplane.scheduler.firing import ScheduledPlan, create_request
from flyteform_controlplane.store.sql import schedules as store

if TYPE_CHECKING:
    from flyteidl.admin.schedule_pb2 import Schedule
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.domain.ports import EntityKey, Launcher
    from flyteform_controlplane.store.database import Database

_log = logging.getLogger(__name__)
_FIRST_RETRY: Final = timedelta(seconds=1)
_LAST_RETRY: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """Settings of the scheduler.

    `catch_up` is how many of a schedule's missed firings are made up for when the platform was down: the latest
    ones. 1 runs a missed nightly job once, however long the night was; 0 runs none; Flyte runs all.
    """

    catch_up: int = 1
    # How late a firing may be and still count as on time.
    punctuality: timedelta = timedelta(seconds=30)
    # The safety net under the wake-ups, and how soon a change of the machine's clock is noticed.
    poll_interval: timedelta = timedelta(seconds=30)
    concurrent_launches: int = 16
    # A creation that takes longer is given up and tried again: under its name it happens once.
    launch_timeout: timedelta = timedelta(minutes=1)


@dataclass(slots=True)
class _Entry:
    """A schedule with its next firing and, after a failure, when to try that again."""

    plan: ScheduledPlan
    due: datetime
    failures: int = 0
    not_before: datetime | None = None

    @property
    def at(self) -> datetime:
        return max(self.due, self.not_before or self.due)


class Scheduler:
    """Implements `Schedules`, and fires them."""

    def __init__(
        self,
        database: Database,
        launcher: Launcher,
        clock: Clock | None = None,
        config: SchedulerConfig | None = None,
    ) -> None:
        self._database = database
        self._launcher = launcher
        self._clock: Clock = clock or SystemClock()
        self._config = config or SchedulerConfig()
        self._wake = asyncio.Event()
        self._entries: dict[int, _Entry] = {}
        self._launches = asyncio.Semaphore(self._config.concurrent_launches)
        self._task: asyncio.Task[None] | None = None

    # The port

    async def activate(self, tx: AsyncConnection, launch_plan: EntityKey, schedule: Schedule, at: datetime) -> None:
        """Fire this schedule from `at` on; `InvalidArgumentError` if it cannot be read."""
        try:
            known = from_idl(schedule)
        except InvalidInputError as error:
            raise InvalidArgumentError(error.message, remedy=error.remedy) from error
        if known is not None:
            await store.activate(tx, launch_plan, schedule, at)

    async def deactivate(self, tx: AsyncConnection, launch_plan: EntityKey) -> None:
        """Fire this launch plan's schedule no longer."""
        await store.deactivate(tx, launch_plan, self._clock.now())

    def wake(self) -> None:
        """Look at the schedules now."""
        self._wake.set()

    # Its life

    async def start(self) -> None:
        """Begin to fire."""
        self._task = asyncio.create_task(self.run(), name="scheduler")

    async def stop(self) -> None:
        """Fire no longer; an execution that is being created may or may not exist then, and its name says which."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def run(self) -> None:
        """Fire what is due, wait for the next, for ever."""
        while True:
            self._wake.clear()
            try:
                await self._refresh()
                due = [entry for entry in self._entries.values() if entry.at <= self._clock.now()]
                await asyncio.gather(*(self._fire(entry) for entry in due))
            except Exception:  # noqa: BLE001 - one failed round must not be the last
                _log.exception("the scheduler failed, trying again")
            limit = self._clock.now() + self._config.poll_interval
            await self._clock.sleep_until(min([limit, *(entry.at for entry in self._entries.values())]), self._wake)

    # Its work

    async def _refresh(self) -> None:
        """Bring the entries to what the database says is active now."""
        async with self._database.reading() as tx:
            plans = {plan.id: plan for plan in await store.active(tx)}
        for gone in self._entries.keys() - plans.keys():
            del self._entries[gone]
        for row_id, plan in plans.items():
            known = self._entries.get(row_id)
            if known is None or known.plan != plan:
                self._plan(plan)

    def _plan(self, plan: ScheduledPlan) -> None:
        """Enter the schedule with its next firing, or take it out if there is none."""
        self._entries.pop(plan.id, None)
        try:
            due = next_firing(plan.schedule(), plan.since, anchor=plan.activated_at)
        except FlyteformError as error:
            _log.error("the schedule of %s cannot be read: %s", plan.launch_plan, error)
            return
        if due is not None:
            self._entries[plan.id] = _Entry(plan, due)

    async def _fire(self, entry: _Entry) -> None:
        """Create the executions that are due for one schedule; its failures stay its own."""
        plan, now = entry.plan, self._clock.now()
        try:
            for at in self._pending(entry, now):
                async with self._launches:
                    if not await self._launch(plan, at):
                        return
                plan = await self._record(plan, at)
            # What catch-up leaves out counts as done.
            if plan.since < entry.due:
                plan = await self._record(plan, self._latest_before(entry, now))
            self._plan(plan)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with this one, the others must fire
            self._retry_later(entry, now, error)

    def _pending(self, entry: _Entry, now: datetime) -> list[datetime]:
        """Return the firings to make up for, and the present one."""
        plan = entry.plan
        count = max(self._config.catch_up, 1)
        found = latest_firings(plan.schedule(), plan.since, now, count, anchor=plan.activated_at)
        if self._config.catch_up == 0:
            return [at for at in found if at >= now - self._config.punctuality]
        return found

    @staticmethod
    def _latest_before(entry: _Entry, now: datetime) -> datetime:
        plan = entry.plan
        return latest_firings(plan.schedule(), plan.since, now, 1, anchor=plan.activated_at)[0]

    async def _launch(self, plan: ScheduledPlan, at: datetime) -> bool:
        """Create the execution; False if the schedule is no longer active.

        A refusal that would be the same next time ends this firing, not the schedule.
        """
        async with self._database.reading() as tx:
            if not await store.is_active(tx, plan):
                return False
        try:
            async with asyncio.timeout(self._config.launch_timeout.total_seconds()):
                await self._launcher.launch(create_request(plan, at), mode=ExecutionMetadata.SCHEDULED, scheduled_at=at)
        except EntityExistsError:
            _log.debug("%s has fired for %s before", plan.launch_plan, at)
        except ControlPlaneError as error:
            if error.retryable:
                raise
            _log.error("%s was refused at %s: %s", plan.launch_plan, at, error)
        return True

    async def _record(self, plan: ScheduledPlan, at: datetime) -> ScheduledPlan:
        async with self._database.transaction() as tx:
            await store.record_firing(tx, plan, at, self._clock.now())
        return replace(plan, last_fired_at=at)

    def _retry_later(self, entry: _Entry, now: datetime, error: Exception) -> None:
        entry.failures += 1
        delay = min(_FIRST_RETRY * 2 ** min(entry.failures - 1, 20), _LAST_RETRY)
        entry.not_before = now + delay
        _log.warning("%s did not fire, trying again in %s", entry.plan.launch_plan, delay, exc_info=error)
