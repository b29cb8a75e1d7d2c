"""The life of one attempt as a job of a connector."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, TypeVar

from flyteidl.admin.agent_pb2 import TaskCategory
from flyteidl.core.execution_pb2 import TaskExecution

from flyteform.errors import FlyteformError, UnavailableError
from flyteform.waiting import set_within
from flyteform_dataplane.attempt_logs import write_line, write_note
from flyteform_dataplane.channel import Backoff
from flyteform_dataplane.connectors.errors import ConnectorCallError, ConnectorUnavailableError
from flyteform_dataplane.connectors.outcomes import ENDED, phase_of, refusal, write_end, write_error
from flyteform_dataplane.connectors.records import Record
from flyteform_dataplane.ports import AttemptPhase

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from flyteidl.admin.agent_pb2 import Resource

    from flyteform.objects.ports import ObjectStore
    from flyteform_dataplane.connectors.client import Connector
    from flyteform_dataplane.connectors.directory import Directory
    from flyteform_dataplane.connectors.records import Records
    from flyteform_dataplane.ports import JobSpec

Answer = TypeVar("Answer")

_FIRST_PAUSE, _GROWTH = 0.1, 1.5  # seconds until a job is asked about again: short ones are not waited for long
_LAST_WORDS = 5.0  # seconds for the logs and metrics of a job that has ended
_WAITS: dict[TaskExecution.Phase, AttemptPhase] = {
    TaskExecution.QUEUED: AttemptPhase.QUEUED,
    TaskExecution.INITIALIZING: AttemptPhase.INITIALIZING,
    TaskExecution.WAITING_FOR_RESOURCES: AttemptPhase.WAITING_FOR_RESOURCES,
}
_BACKOFF = Backoff(0.1, 5.0)


class StoppedError(Exception):
    """The attempt is wanted no more."""


class Job:
    """Creates a job, or finds it again, and watches it until it has ended or is wanted no more."""

    def __init__(
        self,
        spec: JobSpec,
        log: Path,
        *,
        directory: Directory,
        records: Records,
        objects: ObjectStore,
        on_running: Callable[[], None],
        on_waiting: Callable[[AttemptPhase, str], None],
    ) -> None:
        self._spec = spec
        self._log = log
        self._directory = directory
        self._records = records
        self._objects = objects
        self._on_running = on_running
        self._on_waiting = on_waiting
        self._shown = ""
        self._unwanted = asyncio.Event()
        self.links = f"Logs\t{log.as_uri()}"

    def stop(self) -> None:
        """Have it end: `run` raises `StoppedError` soon."""
        self._unwanted.set()

    async def run(self) -> int:
        """Return the exit code that a process would have, its outputs or its error written.

        Raises `StoppedError`, or `UnavailableError` when the connector does not answer for too long.
        """
        try:
            return await self._run()
        except ConnectorCallError as error:
            write_note(self._log, error.message)
            written = refusal(error.message, recoverable=error.recoverable)
            await write_error(self._objects, self._spec.output_prefix, written)
            return 1

    async def _run(self) -> int:
        record = await self._made_before()
        if record is not None:
            connector = self._directory.at(record.address)
            if connector is None:
                raise ConnectorUnavailableError(f"the connector at {record.address} is not configured any more")
            write_note(self._log, f"the job at {record.address} goes on")
            return await self._watch(connector, record)
        template = self._spec.template
        connector, is_sync = await self._directory.find(template.type, template.task_type_version)
        if is_sync:
            return await self._run_at_once(connector)
        record = await self._create_for_sure(connector)
        write_note(self._log, f"{template.type} job created at {record.address}")
        return await self._watch(connector, record)

    async def _made_before(self) -> Record | None:
        """Return the job if there is one; one that somebody else may be about to create is waited for."""
        record = await self._records.get(self._spec.name)
        if record is not None and not record.created:
            connector = self._directory.at(record.address)
            write_note(self._log, f"somebody else is about to create the job at {record.address}")
            record = await self._records.answered(record.name, 0.0 if connector is None else connector.endpoint.timeout)
        return None if record is None or record.abandoned else record

    async def _create_for_sure(self, connector: Connector) -> Record:
        """Create the job. Whoever is cancelled while the connector answers keeps the answer for its successor."""
        creating = asyncio.ensure_future(self._create(connector))
        try:
            return await asyncio.shield(creating)
        except asyncio.CancelledError:
            self.stop()  # no other try
            await asyncio.gather(creating, return_exceptions=True)
            raise

    async def _create(self, connector: Connector) -> Record:
        template = self._spec.template
        record = Record(
            self._spec.name,
            connector.endpoint.address,
            template.type,
            template.task_type_version,
            b"",
            self._spec.output_prefix,
            created=False,
        )
        await self._records.save(record)
        try:
            meta = await self._patiently(connector, lambda: connector.create(self._spec))
        except (StoppedError, FlyteformError):
            await self._records.remove(record.name)
            raise
        record = replace(record, meta=meta, created=True)
        # What the job is known by is nowhere else: not even a stop ends this.
        await self._surely(lambda: self._records.save(record), asyncio.sleep, connector.endpoint.patience)
        return record

    async def _run_at_once(self, connector: Connector) -> int:
        self._on_running()
        call = asyncio.ensure_future(self._patiently(connector, lambda: connector.run(self._spec)))
        unwanted = asyncio.ensure_future(self._unwanted.wait())
        try:
            await asyncio.wait((call, unwanted), return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                raise StoppedError
            self._show(call.result())
            return await write_end(self._objects, self._spec.output_prefix, call.result())
        finally:
            for task in (call, unwanted):
                task.cancel()
            await asyncio.gather(call, unwanted, return_exceptions=True)

    async def _watch(self, connector: Connector, record: Record) -> int:
        category, pause = TaskCategory(name=record.task_type, version=record.version), _FIRST_PAUSE
        while True:
            resource = await self._patiently(
                connector, lambda: connector.get(category, record.meta, record.output_prefix), polling=True
            )
            self._show(resource)
            if phase_of(resource) in ENDED:
                break
            await self._pause(min(pause, connector.endpoint.poll))
            pause *= _GROWTH
        await self._last_words(connector, category, record.meta)
        code = await self._surely(lambda: write_end(self._objects, record.output_prefix, resource), self._pause)
        await self._surely(lambda: self._records.remove(record.name), self._pause)
        return code

    async def _surely(
        self, action: Callable[[], Awaitable[Answer]], pause: Callable[[float], Awaitable[None]], seconds: float = inf
    ) -> Answer:
        """Repeat what the object store cannot do now: the work of hours must not be lost to its absence."""
        clock, failures = asyncio.get_running_loop().time, 0
        deadline = clock() + seconds
        while True:
            try:
                return await action()
            except UnavailableError as error:
                if clock() > deadline:
                    raise
                failures += 1
                if failures == 1:
                    write_note(self._log, f"{error.message}; trying again")
            await pause(_BACKOFF.pause(failures))

    async def _patiently(
        self, connector: Connector, call: Callable[[], Awaitable[Answer]], *, polling: bool = False
    ) -> Answer:
        """Call again while the connector is away, but not for ever; one that stumbles while polled is asked again."""
        clock, failures = asyncio.get_running_loop().time, 0
        deadline = clock() + connector.endpoint.patience
        while True:
            try:
                return await call()
            except (ConnectorUnavailableError, ConnectorCallError) as error:
                again = isinstance(error, ConnectorUnavailableError) or (polling and error.recoverable)
                if not again or clock() > deadline:
                    raise
                failures += 1
                if failures == 1:
                    write_note(self._log, f"{error.message}; trying again")
            await self._pause(_BACKOFF.pause(failures))

    async def _pause(self, seconds: float) -> None:
        if await set_within(self._unwanted, seconds):
            raise StoppedError

    def _show(self, resource: Resource) -> None:
        """Tell what is new of the job: its phase, its message, where its logs are."""
        named = [f"{link.name or 'Logs'}\t{link.uri}" for link in resource.log_links if link.uri]
        self.links = "\n".join((f"Logs\t{self._log.as_uri()}", *named))
        phase = phase_of(resource)
        shown = f"{TaskExecution.Phase.Name(phase)}: {resource.message}".removesuffix(": ")
        if shown != self._shown:
            self._shown = shown
            write_note(self._log, shown)
            if phase in _WAITS and resource.message:
                self._on_waiting(_WAITS[phase], resource.message)
        if phase == TaskExecution.RUNNING:
            self._on_running()

    async def _last_words(self, connector: Connector, category: TaskCategory, meta: bytes) -> None:
        """Keep the logs and the metrics of the job where the connector has any; many have none."""
        with contextlib.suppress(FlyteformError, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                for line in await connector.logs(category, meta):
                    write_line(self._log, line.rstrip("\n"))
        with contextlib.suppress(FlyteformError, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                for name, data in (await connector.metrics(category, meta)).items():
                    write_note(self._log, f"metric {name}: {data}")
