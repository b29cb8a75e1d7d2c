"""All executors of a data plane behind one face."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flyteform_dataplane.ports import JobSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteform_dataplane.connectors.jobs import JobExecutor
    from flyteform_dataplane.ports import AttemptSpec, AttemptUpdate
    from flyteform_dataplane.process.executor import ProcessExecutor


class Executors:
    """Sends each attempt where it runs: a process on this machine, or a job of a connector."""

    def __init__(self, processes: ProcessExecutor, jobs: JobExecutor) -> None:
        self._processes = processes
        self._jobs = jobs

    async def start(self, attempt: AttemptSpec | JobSpec, observe: Callable[[AttemptUpdate], None]) -> None:
        """Start the attempt, or watch it if it runs already."""
        if isinstance(attempt, JobSpec):
            await self._jobs.start(attempt, observe)
        else:
            await self._processes.start(attempt, observe)

    async def stop(self, name: str) -> None:
        """End the attempt with all that it has started."""
        await asyncio.gather(self._processes.stop(name), self._jobs.stop(name))

    async def forget(self, execution: str) -> None:
        """End all attempts of the execution; nobody is told."""
        await asyncio.gather(self._processes.forget(execution), self._jobs.forget(execution))
