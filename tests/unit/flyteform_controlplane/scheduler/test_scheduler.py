"""The scheduler fires at the right times, once each, whatever fails, in virtual time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from flyteidl.admin.execution_pb2 import ExecutionCreateRequest, ExecutionMetadata
from flyteidl.admin.schedule_pb2 import DAY, HOUR, CronSchedule, FixedRate, Schedule
from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

from flyteform_controlplane.domain.ports import EntityKey
from flyteform_controlplane.domain.schedules import CatchUpRecord
from flyteform_controlplane.errors import (
    EntityExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    UnavailableError,
)
from flyteform_controlplane.scheduler.firing import execution_name
from flyteform_controlplane.scheduler.scheduler import Scheduler, SchedulerConfig
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.migrate import migrate
from flyteform_controlplane.store.sql.store import SqlStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

START = datetime(2024, 5, 1, 10, 7, 30, tzinfo=UTC)
PLAN = EntityKey("flytesnacks", "development", "daily.report", "v1")
OTHER = EntityKey("flytesnacks", "development", "hourly.check", "v1")
DEADLINE_SECONDS = 10


class VirtualClock:
    """A clock that stands still until a test moves it, and knows when the scheduler waits for it."""

    def __init__(self, start: datetime) -> None:
        self.time = start
        self._moved = asyncio.Event()
        self._waiting: tuple[datetime, asyncio.Event] | None = None
        self.scheduler: Scheduler | None = None

    def now(self) -> datetime:
        """Return the time that the test has set."""
        return self.time

    async def sleep_until(self, when: datetime, wake: asyncio.Event) -> None:
        """Wait for the test to pass the time, or for the event."""
        self._waiting = (when, wake)
        while self.time < when and not wake.is_set():
            self._moved.clear()
            waits = [asyncio.create_task(event.wait()) for event in (self._moved, wake)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        self._waiting = None

    async def idle(self) -> datetime:
        """Wait until the scheduler has nothing to do before a later time, and return that time."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (due := self._next()) is None:  # noqa: ASYNC110 - no event tells that all work has ended
                await asyncio.sleep(0)
            return due

    def _next(self) -> datetime | None:
        """Return what the scheduler sleeps for, None while it works."""
        if self._waiting is None or (self.scheduler and self.scheduler.busy):
            return None
        when, wake = self._waiting
        return None if when <= self.time or wake.is_set() else when

    async def advance(self, by: timedelta) -> None:
        """Let time pass, stopping wherever the scheduler wants to be woken."""
        target = self.time + by
        while (due := await self.idle()) <= target:
            self.time = due
            self._moved.set()
        self.time = target


class RecordingLauncher:
    """Creates executions in a dictionary; refuses as it is told to, by launch plan name."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.created: dict[str, ExecutionCreateRequest] = {}
        self.times: list[tuple[str, datetime, datetime]] = []
        self.refusals: dict[str, Exception] = {}
        self.attempts: list[datetime] = []

    async def launch(
        self,
        request: ExecutionCreateRequest,
        *,
        mode: ExecutionMetadata.ExecutionMode,
        scheduled_at: datetime | None = None,
    ) -> WorkflowExecutionIdentifier:
        """Create or refuse."""
        self.attempts.append(self.clock.now())
        plan = request.spec.launch_plan.name
        if plan in self.refusals:
            raise self.refusals[plan]
        if request.name in self.created:
            raise EntityExistsError(request.name)
        assert mode == ExecutionMetadata.SCHEDULED
        assert scheduled_at is not None
        self.created[request.name] = request
        self.times.append((plan, scheduled_at, self.clock.now()))
        return WorkflowExecutionIdentifier(project=request.project, domain=request.domain, name=request.name)

    def scheduled(self, plan: EntityKey) -> list[datetime]:
        """Return the scheduled times of the plan's executions."""
        return [at for name, at, _ in self.times if name == plan.name]


class World:
    """A database, a clock and a launcher that outlive the schedulers on them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = VirtualClock(START)
        self.launcher = RecordingLauncher(self.clock)

    @asynccontextmanager
    async def running(self, config: SchedulerConfig | None = None) -> AsyncIterator[Scheduler]:
        """Run a scheduler while the block lasts."""
        scheduler = self.clock.scheduler = Scheduler(self.database, lambda: self.launcher, self.clock, config)
        await scheduler.start()
        try:
            yield scheduler
            await self.clock.idle()
        finally:
            await scheduler.stop()

    async def activate(self, scheduler: Scheduler, plan: EntityKey, schedule: Schedule) -> None:
        """Activate as the service does: in a transaction, then wake."""
        async with self.database.transaction() as tx:
            await scheduler.activate(tx, plan, schedule, self.clock.now())
        scheduler.wake()

    async def deactivate(self, scheduler: Scheduler, plan: EntityKey) -> None:
        """Deactivate as the service does."""
        async with self.database.transaction() as tx:
            await scheduler.deactivate(tx, plan)
        scheduler.wake()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Give a migrated database of its own."""
    database = Database(f"sqlite:///{tmp_path}/control.db")
    await migrate(database)
    yield World(database)
    await database.close()


def cron(text: str, kickoff: str = "") -> Schedule:
    """Return a cron schedule."""
    return Schedule(cron_schedule=CronSchedule(schedule=text), kickoff_time_input_arg=kickoff)


def at(hour: int, minute: int = 0, second: int = 0, day: int = 1) -> datetime:
    """Return a time in May 2024."""
    return datetime(2024, 5, day, hour, minute, second, tzinfo=UTC)


async def test_cron_and_fixed_rate_fire_at_their_times(world: World) -> None:
    """Both kinds fire exactly when due, cron by the clock and rates from their activation."""
    async with world.running() as scheduler:
        await world.activate(scheduler, PLAN, cron("*/20 * * * *"))
        await world.activate(scheduler, OTHER, Schedule(rate=FixedRate(value=1, unit=HOUR)))
        await world.clock.advance(timedelta(hours=2))
    assert world.launcher.scheduled(PLAN) == [at(10, 20), at(10, 40), at(11), at(11, 20), at(11, 40), at(12)]
    assert world.launcher.scheduled(OTHER) == [at(11, 7, 30), at(12, 7, 30)]
    assert all(fired == scheduled for _, scheduled, fired in world.launcher.times)


async def test_kickoff_time_is_injected_for_both_kinds(world: World) -> None:
    """The input that a schedule names gets the scheduled time, for rates too (Flyte does so for cron only)."""
    rate = Schedule(rate=FixedRate(value=1, unit=DAY), kickoff_time_input_arg="when")
    async with world.running(SchedulerConfig(poll_interval=timedelta(days=1))) as scheduler:
        await world.activate(scheduler, PLAN, cron("0 12 * * *", kickoff="when"))
        await world.activate(scheduler, OTHER, rate)
        await world.clock.advance(timedelta(days=1))
    kickoffs = [
        request.inputs.literals["when"].scalar.primitive.datetime.ToDatetime(UTC)
        for request in world.launcher.created.values()
    ]
    assert kickoffs == [at(12), at(10, 7, 30, day=2)]


async def test_the_request_names_the_version_and_the_scheduled_time(world: World) -> None:
    """The execution is of the activated version, says that it is scheduled, and has Flyte's deterministic name."""
    async with world.running() as scheduler:
        await world.activate(scheduler, PLAN, cron("@hourly"))
        await world.clock.advance(timedelta(hours=1))
    (request,) = world.launcher.created.values()
    assert request.name == execution_name(PLAN, at(11))
    assert (request.project, request.domain) == (PLAN.project, PLAN.domain)
    assert (request.spec.launch_plan.name, request.spec.launch_plan.version) == (PLAN.name, PLAN.version)
    assert request.spec.metadata.mode == ExecutionMetadata.SCHEDULED
    assert request.spec.metadata.scheduled_at.ToDatetime(UTC) == at(11)


def test_execution_names_are_valid_and_differ_by_version_and_time() -> None:
    """A name is `f` and 19 hexadecimal digits; another version or second gives another."""
    names = {execution_name(PLAN, at(11)), execution_name(OTHER, at(11)), execution_name(PLAN, at(12))}
    assert len(names) == 3
    assert all(len(name) == 20 and name[0] == "f" and set(name[1:]) <= set("0123456789abcdef") for name in names)
    # FNV-1 with 64 bits of "p:d:n:v:0", by the published constants, little-endian, then zeroes.
    assert execution_name(EntityKey("p", "d", "n", "v"), datetime.fromtimestamp(0, UTC)) == "f" + _fnv1("p:d:n:v:0")


def _fnv1(text: str) -> str:
    value = 14695981039346656037
    for byte in text.encode():
        value = value * 1099511628211 % 2**64 ^ byte
    return value.to_bytes(8, "little").hex() + "000"


async def test_a_firing_that_happened_is_not_repeated_after_a_crash(world: World) -> None:
    """If the execution exists but the scheduler died before it noted so, the next one goes on without a second."""
    async with world.running() as scheduler:
        await world.activate(scheduler, PLAN, cron("@hourly"))
        world.launcher.created[execution_name(PLAN, at(11))] = ExecutionCreateRequest()
        await world.clock.advance(timedelta(hours=1, minutes=55))
    assert world.launcher.scheduled(PLAN) == [at(12)]
    async with world.running():
        await world.clock.advance(timedelta(minutes=10))
    assert world.launcher.scheduled(PLAN) == [at(12)]


@pytest.mark.parametrize(("catch_up", "expected"), [(0, []), (1, [at(20)]), (3, [at(18), at(19), at(20)])])
async def test_missed_firings_are_made_up_for_within_the_limit(
    world: World, catch_up: int, expected: list[datetime]
) -> None:
    """After a time without a scheduler the latest missed firings run, as many as configured, then all goes on."""
    async with world.running() as scheduler:
        await world.activate(scheduler, PLAN, cron("@hourly"))
    world.clock.time = at(20, 30)
    async with world.running(SchedulerConfig(catch_up=catch_up)):
        await world.clock.advance(timedelta(hours=1))
    assert world.launcher.scheduled(PLAN) == [*expected, at(21)]


@pytest.mark.parametrize(("catch_up", "expected"), [(0, []), (2, [at(19), at(20)])])
async def test_a_launch_plan_may_have_its_own_limit(world: World, catch_up: int, expected: list[datetime]) -> None:
    """What is set for a launch plan's name goes before the platform's own limit, which holds for all others."""
    async with world.running() as scheduler:
        await world.activate(scheduler, PLAN, cron("@hourly"))
        await world.activate(scheduler, OTHER, cron("@hourly"))
        own = CatchUpRecord(project=PLAN.project, domain=PLAN.domain, name=PLAN.name, max=catch_up)
        async with world.database.transaction() as tx:
            await SqlStore().catch_ups.add(tx, own)
    world.clock.time = at(20, 30)
    async with world.running():
        await world.clock.advance(timedelta(hours=1))
    assert world.launcher.scheduled(PLAN) == [*expected, at(21)]
    assert world.launcher.scheduled(OTHER) == [at(20), at(21)]


async def test_deactivation_and_activation_take_effect_at_once(world: World) -> None:
    """What is deactivated fires no more; reactivated, it starts from then and makes up for nothing."""
    async with world.running() as scheduler:
        await world.activate(scheduler, PLAN, cron("@hourly"))
        await world.clock.advance(timedelta(hours=1))
        await world.deactivate(scheduler, PLAN)
        await world.clock.advance(timedelta(hours=3))
        assert world.launcher.scheduled(PLAN) == [at(11)]
        await world.activate(scheduler, PLAN, cron("@hourly"))
        await world.clock.advance(timedelta(hours=1))
    assert world.launcher.scheduled(PLAN) == [at(11), at(15)]


async def test_activating_an_active_schedule_changes_nothing(world: World) -> None:
    """A rate that is activated again keeps its rhythm."""
    rate = Schedule(rate=FixedRate(value=1, unit=HOUR))
    async with world.running() as scheduler:
        await world.activate(scheduler, PLAN, rate)
        await world.clock.advance(timedelta(minutes=50))
        await world.activate(scheduler, PLAN, rate)
        await world.clock.advance(timedelta(minutes=20))
    assert world.launcher.scheduled(PLAN) == [at(11, 7, 30)]


async def test_an_unavailable_platform_is_tried_again_and_stops_no_other_schedule(world: World) -> None:
    """A retryable failure leads to growing pauses, and the firing happens late; others fire on time."""
    async with world.running() as scheduler:
        await world.activate(scheduler, PLAN, cron("0 * * * *"))
        await world.activate(scheduler, OTHER, cron("*/5 * * * *"))
        world.launcher.refusals[PLAN.name] = UnavailableError("no database")
        await world.clock.advance(timedelta(minutes=55))
        assert world.launcher.scheduled(PLAN) == []
        world.launcher.refusals.clear()
        await world.clock.advance(timedelta(minutes=3))
    ((_, _, fired),) = [item for item in world.launcher.times if item[0] == PLAN.name]
    assert world.launcher.scheduled(PLAN) == [at(11)]
    assert fired > at(11)
    assert world.launcher.scheduled(OTHER)[:2] == [at(10, 10), at(10, 15)]
    assert at(11) in world.launcher.scheduled(OTHER)


async def test_a_refused_firing_is_left_out_and_the_next_one_tried(world: World) -> None:
    """A refusal that would not change (an archived project) costs one attempt per firing."""
    async with world.running() as scheduler:
        await world.activate(scheduler, PLAN, cron("@hourly"))
        world.launcher.refusals[PLAN.name] = FailedPreconditionError("archived")
        await world.clock.advance(timedelta(hours=2))
        assert world.launcher.attempts == [at(11), at(12)]
        world.launcher.refusals.clear()
        await world.clock.advance(timedelta(hours=1))
    assert world.launcher.scheduled(PLAN) == [at(13)]


async def test_an_unexpected_error_of_one_schedule_stops_nothing(world: World) -> None:
    """Even a fault in the launcher leaves the other schedules and the next rounds alone."""
    async with world.running() as scheduler:
        await world.activate(scheduler, PLAN, cron("@hourly"))
        await world.activate(scheduler, OTHER, cron("@hourly"))
        world.launcher.refusals[PLAN.name] = ZeroDivisionError("a bug")
        await world.clock.advance(timedelta(hours=2))
    assert world.launcher.scheduled(OTHER) == [at(11), at(12)]


async def test_a_schedule_that_cannot_be_read_is_refused_at_activation(world: World) -> None:
    """The caller gets INVALID_ARGUMENT with what is wrong, and nothing is written."""
    async with world.running() as scheduler:
        with pytest.raises(InvalidArgumentError, match="day of week '7'"):
            await world.activate(scheduler, PLAN, cron("*/5 * * * 7"))
        await world.clock.advance(timedelta(hours=1))
    assert world.launcher.attempts == []


async def test_a_schedule_without_a_next_time_waits_for_nothing(world: World) -> None:
    """30 February is accepted, as robfig's parser does, and never fires."""
    async with world.running() as scheduler:
        await world.activate(scheduler, PLAN, cron("0 0 30 2 *"))
        await world.clock.advance(timedelta(hours=1))
    assert world.launcher.attempts == []


async def test_a_slow_creation_holds_up_no_other_schedule(world: World) -> None:
    """While one execution takes for ever to be created, the others fire on time, and a stop does not wait for it."""
    never = asyncio.Event()
    launch = world.launcher.launch

    async def slow(request: ExecutionCreateRequest, **rest: Any) -> WorkflowExecutionIdentifier:
        if request.spec.launch_plan.name == PLAN.name:
            await never.wait()
        return await launch(request, **rest)

    world.launcher.launch = slow  # type: ignore[method-assign] - one method of the fake behaves otherwise
    scheduler = Scheduler(
        world.database, lambda: world.launcher, world.clock, SchedulerConfig(stop_timeout=timedelta(milliseconds=1))
    )
    await scheduler.start()
    await world.activate(scheduler, PLAN, cron("*/10 * * * *"))
    await world.activate(scheduler, OTHER, cron("*/10 * * * *"))
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(world.launcher.scheduled(OTHER)) < 3:
            await world.clock.advance(timedelta(minutes=5))
    await scheduler.stop()
    never.set()
    async with asyncio.timeout(DEADLINE_SECONDS):
        while scheduler.busy:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
    assert world.launcher.scheduled(PLAN) == [at(10, 10)]
