"""A data plane put together: the same for every kind of attempt, in which order it starts and in which it stops."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol

from flyteform_dataplane.admin import AdminClient
from flyteform_dataplane.answers import Answers
from flyteform_dataplane.catalog import DataCatalogClient
from flyteform_dataplane.channel import open_channel
from flyteform_dataplane.clock import SystemClock
from flyteform_dataplane.connectors.directory import Directory
from flyteform_dataplane.connectors.jobs import JobExecutor
from flyteform_dataplane.engine.graph import Deadlines
from flyteform_dataplane.link import LinkClient, Place, storage_profile
from flyteform_dataplane.report import EventReporter
from flyteform_dataplane.runner import Runner, RunnerConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from flyteform.objects.ports import ObjectStore
    from flyteform_dataplane.answers import Logs, Resources
    from flyteform_dataplane.connectors.endpoints import Endpoint
    from flyteform_dataplane.credentials import Token
    from flyteform_dataplane.executors import Executors
    from flyteform_dataplane.link import Executions
    from flyteform_dataplane.plugins.ports import Connectors
    from flyteform_dataplane.plugins.registry import Registry
    from flyteform_dataplane.runner.log import Log


class _Opened(Protocol):
    async def open(self) -> None: ...

    async def close(self) -> None: ...


# Who goes ahead of its log runs many executions at once, whose ends are told in fewer calls if they wait this long.
_ENDS_TOGETHER = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class Plane:
    """What one data plane is made of, besides what all have.

    `executors` is given the executor of connectors' jobs and returns all of them; `opened` are those that have to be
    open while it works. `plugins` is given the connectors, if there are any. Connectors' jobs leave what they say
    below `logs`. `token_file` holds the token for a control plane that asks for one.
    """

    cluster: str
    control_plane: str
    objects: ObjectStore
    log: Log
    executors: Callable[[JobExecutor], Executors]
    opened: tuple[_Opened, ...]
    plugins: Callable[[Connectors | None], Registry]
    logs: Path
    connectors: tuple[Endpoint, ...] = ()
    token_file: Path | None = None
    # In place of it: a token for the first login, and where the identity is kept that it lets in.
    bootstrap: tuple[Path, Path] | None = None
    # Who takes the leases, if it is not the runner itself.
    executions: Callable[[Runner], Executions] | None = None
    deadlines: Deadlines = field(default_factory=Deadlines)
    # How long news that an attempt runs may wait for more news, to share the write of both.
    fold_seconds: float = RunnerConfig().fold_seconds
    # Whether what follows from attempts that have succeeded begins before the log has that.
    ahead: bool = False
    # Where people see executions, and whether executors keep nothing of those that are over.
    console_url: str = ""
    finalize: bool = False
    # How many executions it takes at a time; 0 for as many as there are.
    capacity: int = 0
    kubernetes_version: str = ""
    # What clients may ask for over the link, and what the platform keeps in the cluster.
    attempt_logs: Logs | None = None
    resources: Resources | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """A data plane that runs executions, and its link, which is not connected yet."""

    runner: Runner
    link: LinkClient
    reporter: EventReporter


@contextlib.asynccontextmanager
async def working(plane: Plane) -> AsyncIterator[None]:
    """Take leases and run executions until the context ends; what runs goes on or ends as its executor does."""
    async with running(plane) as parts:
        parts.link.start()
        try:
            yield
        finally:
            await parts.link.stop()


@contextlib.asynccontextmanager
async def running(plane: Plane) -> AsyncIterator[Parts]:
    """Run executions until the context ends; whoever wants leases starts and stops the link."""
    async with contextlib.AsyncExitStack() as stack:
        token = await _token(plane)
        channel = await stack.enter_async_context(open_channel(plane.control_plane, plane.token_file, token=token))
        connectors = Directory(plane.connectors)
        stack.push_async_callback(connectors.close)
        clock = SystemClock()
        jobs = JobExecutor(connectors, plane.objects, plane.logs, clock.now)
        reporter = EventReporter(channel, ends=_ENDS_TOGETHER if plane.ahead else 0.0)
        runner = Runner(
            plane.log,
            plane.objects,
            plane.executors(jobs),
            DataCatalogClient(channel, plane.objects, plane.cluster),
            reporter,
            AdminClient(channel),
            clock,
            RunnerConfig(
                cluster=plane.cluster,
                deadlines=plane.deadlines,
                fold_seconds=plane.fold_seconds,
                ahead=plane.ahead,
                console_url=plane.console_url,
                finalize=plane.finalize,
                plugins=plane.plugins(connectors if plane.connectors else None),
            ),
        )
        executions = runner if plane.executions is None else plane.executions(runner)
        place = Place(
            cluster=plane.cluster,
            version=version("flyteform"),
            kubernetes_version=plane.kubernetes_version,
            storage=storage_profile(plane.objects.prefix, os.environ),
            capacity=plane.capacity,
            keeps_resources=plane.resources is not None,
        )
        answers = Answers(plane.objects, logs=plane.attempt_logs, resources=plane.resources)
        link = LinkClient(channel, executions, place, answers=answers)
        if plane.executions is None:
            runner.on_finished(link.finished)
        stack.push_async_callback(runner.stop)
        for executor in (*plane.opened, jobs):
            # Ends before the runner does: attempts that end with their executor have not failed.
            stack.push_async_callback(executor.close)
            await executor.open()
        reporter.start()
        stack.push_async_callback(reporter.stop)
        await runner.start()
        yield Parts(runner, link, reporter)


async def _token(plane: Plane) -> Token | None:
    if plane.bootstrap is None:
        return None
    from flyteform_dataplane.identity import bootstrapped  # its cryptography takes time and memory

    return await bootstrapped(plane.control_plane, *plane.bootstrap)
