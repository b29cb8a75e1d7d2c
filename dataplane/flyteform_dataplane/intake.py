"""Leases as they come: made whole where they name what lies elsewhere, then accepted and acknowledged."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from flyteform.errors import FlyteformError
from flyteform.proto.flyteform.v1.link_pb2 import Ack, Lease
from flyteform_dataplane.staging import is_whole, make_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

    from flyteform.objects.ports import ObjectStore

logger = logging.getLogger(__name__)

_AT_ONCE = 4  # leases whose objects are copied at the same time, each with one object in memory


class Executions(Protocol):
    """Who runs what the control plane leases."""

    async def accept(self, lease: Lease) -> None:
        """Take the execution over, durably; a lease of one that is held already changes nothing."""
        ...

    async def abort(self, execution: WorkflowExecutionIdentifier, cause: str) -> None:
        """End the execution as ABORTED; no error if it is not held."""
        ...

    async def revoke(self, execution: WorkflowExecutionIdentifier) -> None:
        """Stop the execution and forget it without reporting anything; no error if it is not held."""
        ...

    def held(self) -> Sequence[WorkflowExecutionIdentifier]:
        """Return the executions that were accepted and have not ended."""
        ...


class Intake:
    """Accepts leases. One that has to fetch something does so beside the others, and survives being offered again."""

    def __init__(self, executions: Executions, objects: ObjectStore | None) -> None:
        self._executions = executions
        self._objects = objects
        self._fetching: dict[tuple[str, str, str], asyncio.Task[None]] = {}
        self._newest: dict[tuple[str, str, str], Lease] = {}
        self._aborted: dict[tuple[str, str, str], str] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def take(self, lease: Lease, acknowledge: Callable[[Ack], None]) -> None:
        """Accept a lease beside others, and acknowledge it when that is done: each costs writes that are waited for."""
        key = _key(lease.id)
        self._newest[key] = lease
        if key not in self._fetching:
            self._fetching[key] = asyncio.create_task(self._fetch(key, acknowledge))

    async def abort(self, execution: WorkflowExecutionIdentifier, cause: str) -> None:
        """End an execution; one that is on its way ends when it is accepted, and nothing else waits for that."""
        if _key(execution) in self._fetching:
            self._aborted[_key(execution)] = cause
        else:
            await self._executions.abort(execution, cause)

    async def revoke(self, execution: WorkflowExecutionIdentifier) -> None:
        """Let go of an execution, held or on its way."""
        task = self._fetching.get(_key(execution))
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._executions.revoke(execution)

    async def close(self) -> None:
        """Give up what is on its way: it is offered again, and what was copied stays."""
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch(self, key: tuple[str, str, str], acknowledge: Callable[[Ack], None]) -> None:
        try:
            lease = self._newest[key]
            if self._objects is not None and not is_whole(lease):
                async with self._slots:
                    lease = await make_whole(self._newest[key], self._objects)
            await self._executions.accept(lease)
            acknowledge(Ack(id=lease.id, epoch=self._newest[key].epoch))
            if key in self._aborted:
                await self._executions.abort(lease.id, self._aborted[key])
        except FlyteformError as error:  # a lease without its Ack is offered again
            logger.warning("execution %s cannot be taken over now: %s", key[-1], error.message)
        except Exception:
            logger.exception("execution %s cannot be taken over", key[-1])
        finally:
            del self._fetching[key], self._newest[key]
            self._aborted.pop(key, None)


def _key(execution: WorkflowExecutionIdentifier) -> tuple[str, str, str]:
    return execution.project, execution.domain, execution.name
