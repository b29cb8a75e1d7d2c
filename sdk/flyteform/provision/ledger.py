"""The state during an apply: ownership is written ahead, what was applied after the steps."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from typing import TYPE_CHECKING

from flyteform.provision.state_store import this_process

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from flyteform.provision.model import Address, Change, Plan
    from flyteform.provision.ports import StateStore
    from flyteform.provision.state import Record, State

# Writing a large state after each of its thousands of steps would take longer than the steps: at most a tenth of the
# time goes into it. A small state is written after every step.
REST = 9


class Ledger:
    """Keeps a state and saves it.

    What a plan wants is owned, durably, before the first step; that alone makes the next plan right after a crash,
    as the world itself is read from the platform. What is noted after the steps may be behind after a crash.
    """

    def __init__(self, store: StateStore, state: State, goals: Mapping[Address, Record | None]) -> None:
        self._store = store
        self._state = state
        self._saved = state
        self._goals = goals
        self._left: Counter[Address] = Counter()
        self._noted: dict[Address, Record] = {}
        self._writing = asyncio.Lock()
        self._rests_until = 0.0

    async def begin(self, plan: Plan) -> None:
        """Own what the plan wants, before anything is written, and note what is there already."""
        process = this_process()
        self._left = Counter(step.address for step in plan.steps)
        state = self._state.begin(process.since, process.who)
        wanted = {address: goal for address, goal in self._goals.items() if goal is not None}
        done = {address: goal for address, goal in wanted.items() if address not in self._left}
        self._state = state.claim(wanted).record_all(done)
        await self._save()

    def check(self) -> None:
        """Raise `StateLostError` if somebody else has taken the state over: then no further step may be taken."""
        self._store.check()

    async def record(self, step: Change) -> None:
        """Note that a step is done; a resource is as wanted with the last of its steps."""
        self._left[step.address] -= 1
        goal = self._goals.get(step.address)
        if goal is None or self._left[step.address]:
            return
        self._noted[step.address] = goal
        if not self._writing.locked() and time.monotonic() >= self._rests_until:
            await self._save()

    async def finish(self, failed: Collection[Address]) -> None:
        """Let go of what is out of use now; what could not be removed stays owned, for the next plan to try again."""
        gone = {address for address, goal in self._goals.items() if goal is None}
        self._state = self._state.release(gone - frozenset(failed))
        await self._save()

    async def _save(self) -> None:
        """Save the newest state; while one write runs, the changes of others gather for the next."""
        async with self._writing:
            started = time.monotonic()
            # All at once: each change of a state costs as much as the state is large.
            self._state, self._noted = self._state.record_all(self._noted), {}
            if self._state.records == self._saved.records:
                return
            saving = self._state = self._state.next(uuid.uuid4().hex)
            await self._store.save(saving)
            self._saved = saving
            ended = time.monotonic()
            self._rests_until = ended + REST * (ended - started)
