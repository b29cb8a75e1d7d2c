"""The state during an apply: ownership is written ahead, versions after the steps."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from flyteform.provision.model import REMOVALS, Action

if TYPE_CHECKING:
    from collections.abc import Collection

    from flyteform.provision.model import Address, Change, Plan
    from flyteform.provision.ports import StateStore
    from flyteform.provision.state import State

# Writing a large state after each of its thousands of steps would take longer than the steps: at most a tenth of the
# time goes into it. A small state is written after every step.
_REST = 9


class Ledger:
    """Keeps a state and saves it.

    What a plan wants is owned, durably, before the first step; that alone makes the next plan right after a crash,
    as the world itself is read from the platform. The versions noted after each step may be behind after a crash.
    """

    def __init__(self, store: StateStore, state: State) -> None:
        self._store = store
        self._state = state
        self._saved = state
        self._writing = asyncio.Lock()
        self._rests_until = 0.0

    async def begin(self, plan: Plan) -> None:
        """Own what the plan wants, before anything is written, and note the versions that are there already."""
        if not plan.destroy:
            self._state = self._state.claim(plan.desired.addresses)
        for change in plan.changes:
            if change.action is Action.NO_OP:
                self._state = self._state.record(change.address, change.version)
        await self._save()

    async def record(self, step: Change) -> None:
        """Note that a step is done."""
        if step.action in REMOVALS:
            return
        self._state = self._state.record(step.address, step.version)
        if not self._writing.locked() and time.monotonic() >= self._rests_until:
            await self._save()

    async def finish(self, plan: Plan, failed: Collection[Address]) -> None:
        """Let go of what is out of use now; what could not be removed stays owned, for the next plan to try again."""
        gone = frozenset(self._state.owned) - (frozenset() if plan.destroy else plan.desired.addresses)
        self._state = self._state.release(gone - frozenset(failed))
        await self._save()

    async def _save(self) -> None:
        """Save the newest state; while one write runs, the changes of others gather for the next."""
        async with self._writing:
            if self._state.owned == self._saved.owned:
                return
            started = time.monotonic()
            self._state = replace(self._state, serial=self._saved.serial + 1)
            saving = self._state
            await self._store.save(saving)
            self._saved = saving
            ended = time.monotonic()
            self._rests_until = ended + _REST * (ended - started)
