"""The state during an apply: written ahead, then after every step, many steps to one write where they come together."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from flyteform.provision.model import REMOVALS, Action

if TYPE_CHECKING:
    from collections.abc import Collection

    from flyteform.provision.model import Address, Change, Plan
    from flyteform.provision.ports import StateStore
    from flyteform.provision.state import State


class Ledger:
    """Keeps a state and saves it: a change is durable when the call that made it returns."""

    def __init__(self, store: StateStore, state: State) -> None:
        self._store = store
        self._state = state
        self._saved = state
        self._writing = asyncio.Lock()

    async def begin(self, plan: Plan) -> None:
        """Own what the plan wants, before anything is written, and note the versions that are there already."""
        if not plan.destroy:
            self._state = self._state.claim(plan.desired.addresses)
        for change in plan.changes:
            if change.action is Action.NO_OP:
                self._state = self._state.record(change.address, change.version)
        await self._commit()

    async def record(self, step: Change) -> None:
        """Note that a step is done."""
        if step.action in REMOVALS:
            return
        self._state = self._state.record(step.address, step.version)
        await self._commit()

    async def finish(self, plan: Plan, failed: Collection[Address]) -> None:
        """Let go of what is out of use now; what could not be removed stays owned, for the next plan to try again."""
        gone = frozenset(self._state.owned) - (frozenset() if plan.destroy else plan.desired.addresses)
        self._state = self._state.release(gone - frozenset(failed))
        await self._commit()

    async def _commit(self) -> None:
        """Save the newest state; while one write runs, the changes of others gather for the next."""
        async with self._writing:
            if self._state.owned != self._saved.owned:
                self._state = replace(self._state, serial=self._saved.serial + 1)
                saving = self._state
                await self._store.save(saving)
                self._saved = saving
