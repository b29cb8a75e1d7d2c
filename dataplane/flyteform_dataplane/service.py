"""An embedded data plane: processes of this machine, and one directory for all that it keeps."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from flyteform.errors import ConflictError
from flyteform.objects import open_store
from flyteform_dataplane.assembly import Plane, working
from flyteform_dataplane.attempt_logs import FileLogs
from flyteform_dataplane.executors import Executors
from flyteform_dataplane.plugins import default_registry
from flyteform_dataplane.process.cgroups import Cgroups
from flyteform_dataplane.process.executor import ProcessExecutor
from flyteform_dataplane.process.images import ImageTable
from flyteform_dataplane.runner.log import ExecutionLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from flyteform_dataplane.settings import Settings

_LOCK_PATIENCE = 5.0  # seconds: a predecessor whose platform was killed needs a moment to end
_LOCK_INTERVAL = 0.05


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[None]:
    """Run a data plane until the context ends; then nothing that it has started is left.

    Raises `ConflictError` if another one works in the same directory.
    """
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with await _lock(settings.state_dir / "dataplane.lock"):
        images = ImageTable(settings.images, settings.python)
        executor = ProcessExecutor(
            settings.state_dir, images, max_attempts=settings.max_attempts, logs=settings.logs, cgroups=Cgroups.detect
        )
        plane = Plane(
            cluster=settings.cluster,
            control_plane=settings.control_plane,
            objects=open_store(settings.objects),
            log=ExecutionLog(settings.state_dir / "dataplane.db"),
            executors=lambda jobs: Executors(jobs, processes=executor),
            opened=(executor,),
            plugins=default_registry,
            logs=settings.logs,
            connectors=settings.connectors,
            token_file=settings.token_file,
            bootstrap=settings.bootstrap,
            deadlines=settings.deadlines,
            attempt_logs=FileLogs(settings.logs, executor.holds),
        )
        async with working(plane):
            warming = asyncio.create_task(executor.warm_up())
            try:
                yield
            finally:
                warming.cancel()


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
