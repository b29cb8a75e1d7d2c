"""An embedded data plane put together: what it is made of, and in which order that starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
from importlib.metadata import version
from typing import TYPE_CHECKING

from flyteform.errors import ConflictError
from flyteform.objects import open_store
from flyteform_dataplane.admin import AdminClient
from flyteform_dataplane.catalog import DataCatalogClient
from flyteform_dataplane.channel import open_channel
from flyteform_dataplane.clock import SystemClock
from flyteform_dataplane.connectors.directory import Directory
from flyteform_dataplane.connectors.jobs import JobExecutor
from flyteform_dataplane.executors import Executors
from flyteform_dataplane.link import LinkClient
from flyteform_dataplane.plugins import default_registry
from flyteform_dataplane.process.cgroups import Cgroups
from flyteform_dataplane.process.executor import ProcessExecutor
from flyteform_dataplane.process.images import ImageTable
from flyteform_dataplane.report import EventReporter
from flyteform_dataplane.runner import Runner, RunnerConfig
from flyteform_dataplane.runner.log import ExecutionLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from flyteform_dataplane.settings import Settings

logger = logging.getLogger(__name__)

_LOCK_PATIENCE = 5.0  # seconds: a predecessor whose platform was killed needs a moment to end
_LOCK_INTERVAL = 0.05


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[None]:
    """Run a data plane until the context ends; then nothing that it has started is left.

    Raises `ConflictError` if another one works in the same directory.
    """
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(await _lock(settings.state_dir / "dataplane.lock"))
        channel = await stack.enter_async_context(open_channel(settings.control_plane, settings.token_file))
        objects = open_store(settings.objects)
        reporter = EventReporter(channel)
        images = ImageTable(settings.images, settings.python)
        executor = ProcessExecutor(
            settings.state_dir, images, max_attempts=settings.max_attempts, logs=settings.logs, cgroups=Cgroups.detect
        )
        clock = SystemClock()
        connectors = Directory(settings.connectors)
        stack.push_async_callback(connectors.close)
        jobs = JobExecutor(connectors, objects, settings.logs, clock.now)
        runner = Runner(
            ExecutionLog(settings.state_dir / "dataplane.db"),
            objects,
            Executors(jobs, processes=executor),
            DataCatalogClient(channel, objects),
            reporter,
            AdminClient(channel),
            clock,
            RunnerConfig(
                cluster=settings.cluster,
                deadlines=settings.deadlines,
                plugins=default_registry(connectors if settings.connectors else None),
            ),
        )
        link = LinkClient(channel, runner, cluster=settings.cluster, version=version("flyteform"))
        runner.on_finished(link.finished)
        await executor.open()
        await jobs.open()
        stack.push_async_callback(runner.stop)
        stack.push_async_callback(jobs.close)
        stack.push_async_callback(executor.close)  # before the runner: attempts that end now have not failed
        warming = asyncio.create_task(executor.warm_up())
        stack.callback(warming.cancel)
        reporter.start()
        stack.push_async_callback(reporter.stop)
        await runner.start()
        link.start()
        stack.push_async_callback(link.stop)
        yield


async def _lock(path: Path) -> contextlib.AbstractContextManager[None]:
    """Hold the lock file, waiting a little for whoever holds it to end."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = asyncio.get_running_loop().time() + _LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if asyncio.get_running_loop().time() > deadline:
                os.close(descriptor)
                raise ConflictError(
                    f"another data plane works in {path.parent}",
                    remedy="end it, or give this one a directory of its own with --state-dir",
                ) from error
            await asyncio.sleep(_LOCK_INTERVAL)
        else:
            return _closing(descriptor)


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)
