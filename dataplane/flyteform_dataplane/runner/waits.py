"""Attempts that wait for somebody else, each in a task of its own: children and gates."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from flyteform_dataplane.engine.observations import AttemptFailed, AttemptRunning, AttemptSucceeded
from flyteform_dataplane.engine.phases import ItemPhase
from flyteform_dataplane.records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from flyteidl.core.literals_pb2 import LiteralMap

    from flyteform_dataplane.engine.commands import StartAttempt, StopAttempt
    from flyteform_dataplane.engine.failures import Failure
    from flyteform_dataplane.engine.observations import Observation
    from flyteform_dataplane.engine.state import State
    from flyteform_dataplane.ports import Clock, ControlPlane
    from flyteform_dataplane.runner.context import ExecutionContext
    from flyteform_dataplane.runner.data import ExecutionData


@record
class Surroundings:
    """What the waits of one execution work with."""

    context: ExecutionContext
    state: State
    data: ExecutionData
    control: ControlPlane
    clock: Clock
    observe: Callable[[Observation], None]

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return self.clock.now().timestamp()

    def begin(self, command: StartAttempt, *, resumed: bool) -> None:
        """Say that the attempt runs, but not again after a crash: its time does not begin anew by that."""
        items = self.state.nodes[command.node].items
        if not (resumed and items is not None and items.phases[command.index] == ItemPhase.RUNNING):
            self.observe(AttemptRunning(command.node, command.index, command.attempt, self.now()))

    async def succeed(self, command: StartAttempt, outputs: LiteralMap) -> None:
        """Write the outputs of the attempt and say that it has ended."""
        await self.write(command, outputs)
        self.observe(AttemptSucceeded(command.node, command.index, command.attempt, self.now()))

    async def write(self, command: StartAttempt, outputs: LiteralMap) -> None:
        """Write the outputs of the attempt."""
        prefix = self.context.output_prefix(command.node, command.index, command.attempt)
        await self.data.write_outputs(f"{prefix}/outputs.pb", outputs)

    def fail(self, command: StartAttempt, failure: Failure) -> None:
        """Say that the attempt has failed."""
        self.observe(AttemptFailed(command.node, command.index, command.attempt, failure, self.now()))


class Waits:
    """Waits that are under way, by their attempts."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, int, int], asyncio.Task[None]] = {}

    def begin(self, command: StartAttempt, work: Coroutine[None, None, None]) -> None:
        """Let an attempt wait, unless it does."""
        key = command.node, command.index, command.attempt
        if key in self._tasks:
            work.close()
            return
        task = self._tasks[key] = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def end(self, command: StopAttempt) -> None:
        """Give up a wait if there is one."""
        task = self._tasks.get((command.node, command.index, command.attempt))
        if task is not None:
            await give_up([task])

    async def close(self) -> None:
        """Give up all waits."""
        await give_up(self._tasks.values())


async def give_up(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they are over, however they end."""
    given_up = list(tasks)
    if given_up:  # which is rare when an execution is over
        for task in given_up:
            task.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
