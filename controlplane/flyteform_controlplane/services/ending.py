"""The end of executions by request, of people or of a concurrency policy, and what may start when they have ended."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from flyteform_controlplane.domain.concurrency import REPLACED
from flyteform_controlplane.domain.executions import abort, refuse_ended
from flyteform_controlplane.errors import FailedPreconditionError, MissingEntityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.domain.concurrency import LaunchPlanName
    from flyteform_controlplane.domain.ports import ExecutionKey
    from flyteform_controlplane.services.backend import Backend
    from flyteform_controlplane.services.concurrency import Concurrency


@dataclass(frozen=True, slots=True)
class Ending:
    """Ends executions; every method has transactions of its own."""

    backend: Backend
    concurrency: Concurrency
    # Many launches that replace each other at once find the work of the one before them done.
    _settling: WeakValueDictionary[LaunchPlanName, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    async def terminate(self, key: ExecutionKey, cause: str, principal: str | None = None) -> None:
        """Ask for the end of an execution, in the name of its own user if no principal is given.

        FAILED_PRECONDITION if it has ended, NOT_FOUND if there is none.
        """
        async with self.backend.database.transaction() as tx:
            slots = await self._end(tx, key, cause, principal)
            await self.concurrency.release(tx, slots)
        self.backend.dispatch.wake()

    async def settle(self, name: LaunchPlanName) -> None:
        """Do all that the launch plan's policy demands now: starts, and aborts to make room."""
        async with self._settling.setdefault(name, asyncio.Lock()):
            async with self.backend.database.transaction() as tx:
                done = await self.concurrency.advance(tx, name)
            if done.abort:
                await self._replace(done.abort)
        if done.start:
            self.backend.dispatch.wake()

    async def _replace(self, keys: Sequence[ExecutionKey]) -> None:
        async with self.backend.database.transaction() as tx:
            slots: set[int] = set()
            # In the order in which others lock several executions.
            for key in sorted(keys, key=astuple):
                # It has ended by itself meanwhile.
                with suppress(FailedPreconditionError, MissingEntityError):
                    slots |= await self._end(tx, key, REPLACED, None)
            await self.concurrency.release(tx, slots)
        self.backend.dispatch.wake()

    async def _end(self, tx: AsyncConnection, key: ExecutionKey, cause: str, principal: str | None) -> set[int]:
        """Abort an execution; return the launch plan whose slot is free by it, if one is."""
        record = await self.backend.execution(tx, key)
        # Before anything is done about it: what has ended stays as it is.
        refuse_ended(record)
        held = await self._stop(tx, key, cause)
        ended = abort(record, cause, record.user if principal is None else principal, held=held)
        await self.backend.store.executions.save_many(tx, [ended])
        return {record.launch_plan_id} if record.launch_plan_id and not held else set()

    async def settle_all(self) -> None:
        """Settle every launch plan of which executions wait."""
        async with self.backend.database.reading() as tx:
            names = await self.backend.store.slots.waited_for(tx)
        for name in names:
            await self.settle(name)

    async def _stop(self, tx: AsyncConnection, key: ExecutionKey, cause: str) -> bool:
        """Take the execution out of the line or off the queue; True if a data plane has it and will report its end."""
        if await self.backend.store.waiting.delete(tx, key.project, key.domain, key.name):
            return False
        return await self.backend.dispatch.abort(tx, key, cause)
