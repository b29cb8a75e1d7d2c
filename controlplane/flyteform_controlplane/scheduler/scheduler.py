"""Creates executions at the times of the active launch plans' schedules."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from flyteidl.admin.execution_pb2 import ExecutionMetadata

from flyteform.errors import FlyteformError, InvalidInputError
from flyteform.schedules import from_idl, latest_firings, next_firing
from flyteform_controlplane.errors import ControlPlaneError, EntityExistsError, InvalidArgumentError
from flyteform_controlplane.scheduler.clock import Clock, SystemClock
from flyteform_controlplane.scheduler.firing import create_request
from flyteform_controlplane.store.sql import schedules as store

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteidl.admin.schedule_pb2 import Schedule
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.domain.ports import EntityKey, Launcher
    from flyteform_controlplane.domain.schedules import ScheduledPlan
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
    # How long a stop waits for executions that are being created.
    stop_timeout: timedelta = timedelta(seconds=3)


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
        launcher: Callable[[], Launcher],
        clock: Clock | None = None,
        config: SchedulerConfig | None = None,
        *,
        leads: Callable[[], bool] = lambda: True,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        """`launcher` is asked for when there is something to launch: it needs the scheduler itself."""
        self._database = database
        self._launcher = launcher
        self._clock: Clock = clock or SystemClock()
        self._config = config or SchedulerConfig()
        # Whether this replica is the one that fires, and how the others are told of a change.
        self._leads = leads
        self._tell = tell
        self._wake = asyncio.Event()
        self._entries: dict[int, _Entry] = {}
        # Schedules whose executions are being created now, by row: a slow one holds up no other.
        self._firing: dict[int, asyncio.Task[None]] = {}
        self._launches = asyncio.Semaphore(self._config.concurrent_launches)
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

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
        """Look at the schedules now, on whichever replica fires them."""
        self.look()
        self._tell()

    def look(self) -> None:
        """Look at the schedules now, here."""
        self._wake.set()

    # Its life

    @property
    def busy(self) -> bool:
        """Whether executions are being created now."""
        return bool(self._firing)

    async def start(self) -> None:
        """Begin to fire."""
        self._stopping = False
        self._task = asyncio.create_task(self.run(), name="scheduler")

    async def stop(self) -> None:
        """Fire no longer; what is being created gets a few seconds.

        Nothing is cancelled in the middle of a transaction; what the wait is too short for happens under the same
        name at the next start.
        """
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task
            self._task = None
        if self._firing:
            await asyncio.wait(self._firing.values(), timeout=self._config.stop_timeout.total_seconds())

    async def run(self) -> None:
        """Fire what is due, wait for the next, until stopped."""
        while not self._stopping:
            self._wake.clear()
            try:
                await self._refresh()
            except Exception:  # noqa: BLE001 - one failed look at the schedules must not be the last
                _log.exception("the schedules cannot be read, trying again")
            now = self._clock.now()
            waiting = [entry for row_id, entry in self._entries.items() if row_id not in self._firing]
            for entry in waiting:
                if entry.at <= now:
                    self._firing[entry.plan.id] = asyncio.create_task(self._fire(entry))
            later = [entry.at for entry in waiting if entry.at > now]
            await self._clock.sleep_until(min([now + self._config.poll_interval, *later]), self._wake)

    # Its work

    async def _refresh(self) -> None:
        """Bring the entries to what the database says is active now; there are none for who does not fire them."""
        if not self._leads():
            self._entries.clear()
            return
        async with self._database.reading() as tx:
            plans = {plan.id: plan for plan in await store.active(tx)}
        for gone in self._entries.keys() - plans.keys():
            del self._entries[gone]
        for row_id, plan in plans.items():
            if row_id in self._firing:
                continue
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
        now = self._clock.now()
        try:
            plan = await self._create(entry, now)
            if plan is not None:
                self._plan(plan)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with this one, the others must fire
            self._retry_later(entry, now, error)
        finally:
            del self._firing[entry.plan.id]
            self._wake.set()

    async def _create(self, entry: _Entry, now: datetime) -> ScheduledPlan | None:
        """Return the plan as it stands after its firings up to now; None if it is no longer active."""
        plan = entry.plan
        for at in self._pending(plan, now):
            async with self._launches:
                if not await self._launch(plan, at):
                    return None
            plan = await self._record(plan, at)
        if plan.since < entry.due:
            # What catch-up leaves out counts as done.
            (latest,) = latest_firings(plan.schedule(), plan.since, now, 1, anchor=plan.activated_at)
            plan = await self._record(plan, latest)
        return plan

    def _pending(self, plan: ScheduledPlan, now: datetime) -> list[datetime]:
        """Return the firings to make up for, and the present one."""
        catch_up = self._config.catch_up if plan.catch_up is None else plan.catch_up
        count = max(catch_up, 1)
        found = latest_firings(plan.schedule(), plan.since, now, count, anchor=plan.activated_at)
        if catch_up == 0:
            return [at for at in found if at >= now - self._config.punctuality]
        return found

    async def _launch(self, plan: ScheduledPlan, at: datetime) -> bool:
        """Create the execution; False if the schedule is no longer active, or another replica's to fire.

        A refusal that would be the same next time ends this firing, not the schedule.
        """
        async with self._database.reading() as tx:
            if not await store.is_active(tx, plan) or not self._leads():
                return False
        try:
            await self._launcher().launch(create_request(plan, at), mode=ExecutionMetadata.SCHEDULED, scheduled_at=at)
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
