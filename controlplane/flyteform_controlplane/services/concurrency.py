"""The slots of launch plans with a concurrency policy: who gets one, who waits, and who makes room."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteform_controlplane.domain.concurrency import LaunchPlanName, Step, admit, policy_of, step
from flyteform_controlplane.domain.ports import ExecutionKey
from flyteform_controlplane.errors import ControlPlaneError

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.domain.concurrency import PolicyRecord, WaitingRecord
    from flyteform_controlplane.domain.records import LaunchPlanRecord
    from flyteform_controlplane.services.backend import Backend

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Concurrency:
    """Gives slots and takes them back; every method works within the caller's transaction."""

    backend: Backend

    async def admit(self, tx: AsyncConnection, launch_plan: LaunchPlanRecord) -> bool:
        """Say whether an execution that this transaction creates may start; False if it has to wait.

        Raises what the policy says if it must not be created. No other transaction gives away the launch plan's
        slots before this one ends.
        """
        name = LaunchPlanName(launch_plan.project, launch_plan.domain, launch_plan.name)
        policy = policy_of(launch_plan.spec, await self._record(tx, name))
        if policy is None:
            return True
        await self.backend.store.slots.lock(tx, name)
        return admit(policy, await self.backend.store.slots.live(tx, name), name.name)

    async def advance(self, tx: AsyncConnection, name: LaunchPlanName) -> Step:
        """Start the executions whose turn has come; return what was started and what is still to be aborted."""
        store = self.backend.store
        await store.slots.lock(tx, name)
        record = await self._record(tx, name)
        # Only policies set for the name let executions wait, not those in a version's spec.
        policy = record.policy if record else None
        found = step(policy, await store.slots.live(tx, name))
        started = [waiting for waiting in found.start if await self._start(tx, waiting)]
        return Step(tuple(started), found.abort)

    async def release(self, tx: AsyncConnection, launch_plan_ids: Collection[int]) -> bool:
        """Give the slots of executions that have ended to those that wait; True if any starts."""
        if not launch_plan_ids:
            return False
        names = await self.backend.store.slots.limited(tx, launch_plan_ids)
        return any([(await self.advance(tx, name)).start for name in names])

    async def _record(self, tx: AsyncConnection, name: LaunchPlanName) -> PolicyRecord | None:
        # Not locked: the launch plan's own lock comes first, or comes alone.
        return await self.backend.store.policies.peek(tx, name.project, name.domain, name.name)

    async def _start(self, tx: AsyncConnection, waiting: WaitingRecord) -> bool:
        key = ExecutionKey(waiting.execution_project, waiting.execution_domain, waiting.execution_name)
        try:
            await self.backend.dispatch.check_label(tx, waiting.cluster_label)
        except ControlPlaneError as error:
            # The cluster that had the label is gone: it may come back, and the next look tries again.
            _log.warning("%s cannot start yet: %s", key, error)
            return False
        # Whoever takes the row away decides: it starts, or it was aborted meanwhile.
        if not await self.backend.store.waiting.delete(tx, key.project, key.domain, key.name):
            return False
        await self.backend.dispatch.enqueue(tx, key, cluster_label=waiting.cluster_label)
        return True
