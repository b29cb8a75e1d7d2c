"""Runs attempts as jobs of connectors."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import TYPE_CHECKING

from flyteidl.admin.agent_pb2 import TaskCategory

from flyteform.errors import FlyteformError, UnavailableError
from flyteform_dataplane.attempt_logs import log_path, write_note
from flyteform_dataplane.channel import Backoff
from flyteform_dataplane.connectors.errors import ConnectorCallError, ConnectorUnavailableError
from flyteform_dataplane.connectors.job import Job, StoppedError
from flyteform_dataplane.connectors.records import Records
from flyteform_dataplane.ports import AttemptPhase, AttemptUpdate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from pathlib import Path

    from flyteform.objects.ports import ObjectStore
    from flyteform_dataplane.connectors.directory import Directory
    from flyteform_dataplane.connectors.records import Record
    from flyteform_dataplane.ports import JobSpec

logger = logging.getLogger(__name__)

_CLEANING_PAUSE = 10.0  # seconds between attempts to delete a job whose connector is away
_DELETING_TRIES = 3
_AT_ONCE = 32  # jobs that are looked at together when a data plane begins
_SWEEP_PAUSE = 300.0  # seconds
_STORE_BACKOFF = Backoff(0.1, 10.0)


@dataclasses.dataclass(eq=False, slots=True)
class _Running:
    job: Job
    log: Path
    observers: list[Callable[[AttemptUpdate], None]]
    task: asyncio.Task[None] | None = None
    seen: bool = False
    ended: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)


class JobExecutor:
    """Creates a job for each attempt, asks about it until it has ended, and deletes it when it is stopped.

    What a connector knows a job by is durable before the job is asked about: after a crash `start` goes on with it,
    here or wherever the execution goes on.
    """

    def __init__(
        self,
        directory: Directory,
        objects: ObjectStore,
        logs: Path,
        now: Callable[[], datetime],
        *,
        sweep_pause: float = _SWEEP_PAUSE,
    ) -> None:
        self._directory = directory
        self._objects = objects
        self._logs = logs
        self._now = now
        self._records = Records(objects)
        self._running: dict[str, _Running] = {}
        self._cleaning: set[asyncio.Task[None]] = set()
        self._closed = False
        self._sweep_pause = sweep_pause
        # Without connectors, now and before, no attempt is worth asking whether it has a job.
        self._in_use = directory.known
        self._sweeping: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Read which jobs exist, and go on deleting those that nobody wants."""
        records = await self._records.of("")
        self._in_use = self._in_use or bool(records)
        for record in records:
            if record.abandoned:
                self._clean(record)
        rest = [record for record in records if not record.abandoned]
        for first in range(0, len(rest), _AT_ONCE):
            await asyncio.gather(*map(self._tidy, rest[first : first + _AT_ONCE]))
        if self._in_use:
            self._sweeping = asyncio.create_task(self._sweep(), name="jobs that nobody wants")

    async def close(self) -> None:
        """Stop asking; the jobs go on, and a later start finds them again."""
        self._closed = True
        tasks = [*self._cleaning, *([self._sweeping] if self._sweeping is not None else ())]
        tasks += [running.task for running in self._running.values() if running.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for running in self._running.values():
            running.ended.set()

    async def start(self, spec: JobSpec, observe: Callable[[AttemptUpdate], None]) -> None:
        """Create the job, or watch it if it exists."""
        known = self._running.get(spec.name)
        if known is not None:
            known.observers.append(observe)
            if known.seen:
                observe(self._update(known, spec.name, AttemptPhase.RUNNING))
        elif not self._closed:
            log = log_path(self._logs, spec.name)
            job = Job(
                spec,
                log,
                directory=self._directory,
                records=self._records,
                objects=self._objects,
                on_running=lambda: self._seen_to_run(spec.name),
                on_waiting=lambda phase, message: self._seen_to_wait(spec.name, phase, message),
            )
            running = self._running[spec.name] = _Running(job, log, [observe])
            running.task = asyncio.create_task(self._run(running, spec.name), name=f"job {spec.name}")

    async def stop(self, name: str) -> None:
        """Delete the job; when its connector does not answer, that is done later and this returns all the same."""
        running = self._running.get(name)
        if running is not None:
            running.job.stop()
            await running.ended.wait()
        elif self._in_use:
            await self._surely(lambda: self._clear(name))

    async def forget(self, execution: str) -> None:
        """Delete all jobs of the execution; nobody is told."""
        prefix = f"{execution}/"
        names = {name for name in self._running if name.startswith(prefix)}
        for name in names:
            self._running[name].observers.clear()
        if self._in_use:
            names |= {record.name for record in await self._records.of(prefix)}
        await asyncio.gather(*map(self.stop, names))

    async def end(self, execution: str) -> None:
        """Delete what jobs there are of an execution that is over: of those that have ended there is no record."""
        await self.forget(execution)

    async def release(self, execution: str) -> None:
        """Ask no more about the jobs of an execution, which is somebody else's now; what was created is on record."""
        names = [name for name in self._running if name.startswith(f"{execution}/")]
        released = [self._running.pop(name) for name in names]
        tasks = [running.task for running in released if running.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for running in released:
            running.ended.set()

    async def _run(self, running: _Running, name: str) -> None:
        try:
            update = await self._end_of(running, name)
        except Exception as error:
            # Its record can be neither read nor written, for good: who waits for its end has to hear of that.
            logger.exception("the job of %s cannot be looked after", name)
            update = self._update(running, name, AttemptPhase.LOST, reason=repr(error))
        del self._running[name]
        running.ended.set()
        for observe in running.observers:
            observe(update)

    async def _end_of(self, running: _Running, name: str) -> AttemptUpdate:
        try:
            await asyncio.to_thread(running.log.parent.mkdir, parents=True, exist_ok=True)
            code = await running.job.run()
        except StoppedError:
            await self._surely(lambda: self._clear(name))
            return self._update(running, name, AttemptPhase.EXITED, reason="it was stopped")
        except UnavailableError as error:
            return await self._lost(running, name, error.message)
        except Exception as error:
            # A defect of ours must end the attempt as any other failure of the system does.
            logger.exception("the job of %s cannot be watched", name)
            return await self._lost(running, name, repr(error))
        await self._surely(lambda: self._clear(name))  # should its connector refuse to say more of it
        return self._update(running, name, AttemptPhase.EXITED, code)

    async def _lost(self, running: _Running, name: str, reason: str) -> AttemptUpdate:
        """Give the attempt up; its job, if there is one, is deleted when its connector answers again."""
        write_note(running.log, f"given up: {reason}")
        await self._surely(lambda: self._give_up(name))
        return self._update(running, name, AttemptPhase.LOST, reason=reason)

    async def _surely(self, action: Callable[[], Awaitable[None]]) -> None:
        """Repeat what the store of the records cannot do now: a job that is left there would run on beside another."""
        failures = 0
        while True:
            try:
                return await action()
            except UnavailableError as error:
                failures += 1
                logger.warning("a job cannot be looked after now: %s", error.message)
                await asyncio.sleep(_STORE_BACKOFF.pause(failures))

    async def _clear(self, name: str) -> None:
        """Delete the job of an attempt, if there is one on record that nobody deletes already."""
        record = await self._records.get(name)
        if record is not None and not record.abandoned:
            await self._delete(record)

    async def _give_up(self, name: str) -> None:
        record = await self._records.get(name)
        if record is not None:
            await self._abandon(record)

    async def _delete(self, record: Record) -> None:
        for _ in range(_DELETING_TRIES):
            if await self._deleted(record):
                return
        await self._abandon(record)

    async def _deleted(self, record: Record) -> bool:
        """Delete the job and say whether that is done with: a connector that refuses for good is not asked again."""
        connector = self._directory.at(record.address)
        if not record.created:
            made = await self._records.answered(record.name, 0.0 if connector is None else connector.endpoint.timeout)
            if made is None:
                return True
            record = made
        try:
            if connector is None:
                raise ConnectorUnavailableError(f"the connector at {record.address} is not configured any more")
            await connector.delete(TaskCategory(name=record.task_type, version=record.version), record.meta)
        except FlyteformError as error:
            logger.warning("the job of %s cannot be deleted: %s", record.name, error.message)
            if not isinstance(error, ConnectorCallError) or error.recoverable:
                return False
        await self._records.remove(record.name)
        return True

    async def _abandon(self, record: Record) -> None:
        abandoned = dataclasses.replace(record, abandoned=True)
        await self._records.save(abandoned)
        self._clean(abandoned)

    def _clean(self, record: Record) -> None:
        """Delete the job as soon as its connector answers; it is asked for a second time without harm."""
        if any(task.get_name() == _cleaning(record) for task in self._cleaning):
            return
        task = asyncio.create_task(self._delete_when_possible(record), name=_cleaning(record))
        self._cleaning.add(task)
        task.add_done_callback(self._cleaning.discard)

    async def _sweep(self) -> None:
        """Look now and then for jobs that another data plane has given up and cannot delete any more itself."""
        while True:
            await asyncio.sleep(self._sweep_pause)
            try:
                for record in await self._records.of(""):
                    if record.abandoned:
                        self._clean(record)
            except FlyteformError as error:
                logger.warning("jobs that nobody wants cannot be looked for now: %s", error.message)

    async def _delete_when_possible(self, record: Record) -> None:
        while not await self._deleted(record):  # noqa: ASYNC110 - what another machine does sets no event here
            await asyncio.sleep(_CLEANING_PAUSE)

    async def _tidy(self, record: Record) -> None:
        """Forget a job of which everything is known."""
        if await self._has_ended(record):
            await self._records.remove(record.name)

    async def _has_ended(self, record: Record) -> bool:
        for name in ("outputs.pb", "error.pb"):
            if await self._objects.head(f"{record.output_prefix}/{name}") is not None:
                return True
        return False

    def _seen_to_run(self, name: str) -> None:
        running = self._running.get(name)
        if running is not None and not running.seen:
            running.seen = True
            for observe in running.observers:
                observe(self._update(running, name, AttemptPhase.RUNNING))

    def _seen_to_wait(self, name: str, phase: AttemptPhase, message: str) -> None:
        running = self._running.get(name)
        if running is not None and not running.seen:
            for observe in running.observers:
                observe(self._update(running, name, phase, reason=message))

    def _update(
        self, running: _Running, name: str, phase: AttemptPhase, exit_code: int | None = None, reason: str = ""
    ) -> AttemptUpdate:
        return AttemptUpdate(name, phase, self._now(), running.job.links, exit_code, reason)


def _cleaning(record: Record) -> str:
    return f"delete {record.name}"
