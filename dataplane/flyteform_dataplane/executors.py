"""All executors of a data plane behind one face."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flyteform_dataplane.errors import InfrastructureError
from flyteform_dataplane.ports import AttemptSpec, JobSpec, PodRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteform_dataplane.connectors.jobs import JobExecutor
    from flyteform_dataplane.kubernetes.executor import PodExecutor
    from flyteform_dataplane.ports import AnyAttempt, AttemptUpdate
    from flyteform_dataplane.process.executor import ProcessExecutor


class Executors:
    """Sends each attempt where it runs: a process on this machine, a pod of a cluster, or a job of a connector."""

    def __init__(
        self, jobs: JobExecutor, *, processes: ProcessExecutor | None = None, pods: PodExecutor | None = None
    ) -> None:
        self._jobs = jobs
        self._processes = processes
        self._pods = pods
        self._all = [executor for executor in (jobs, processes, pods) if executor is not None]

    async def start(self, attempt: AnyAttempt, observe: Callable[[AttemptUpdate], None]) -> None:
        """Start the attempt, or watch it if it runs already."""
        match attempt:
            case JobSpec():
                await self._jobs.start(attempt, observe)
            case AttemptSpec() if self._processes is not None:
                await self._processes.start(attempt, observe)
            case PodRequest() if self._pods is not None:
                await self._pods.start(attempt, observe)
            case _:
                raise InfrastructureError(f"this data plane has nothing that could run {attempt.name}")

    async def stop(self, name: str) -> None:
        """End the attempt with all that it has started."""
        await asyncio.gather(*(executor.stop(name) for executor in self._all))

    async def forget(self, execution: str) -> None:
        """End all attempts of the execution; nobody is told."""
        await asyncio.gather(*(executor.forget(execution) for executor in self._all))

    async def end(self, execution: str) -> None:
        """End what still runs of an execution that is over."""
        await asyncio.gather(*(executor.end(execution) for executor in self._all))

    async def release(self, execution: str) -> None:
        """Watch the attempts of an execution no more, and begin none of them: somebody else has it."""
        await asyncio.gather(*(executor.release(execution) for executor in self._all))
