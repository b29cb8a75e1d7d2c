"""Carries the engine's commands to the world and brings the answers back as observations."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, assert_never

from flyteform.errors import FlyteformError
from flyteform_dataplane.engine.commands import (
    CollectOutputs,
    DecideBranch,
    EnterWorkflow,
    LookUpCache,
    MeasureArray,
    SetTimer,
    StartAttempt,
    StopAttempt,
    StoreInCache,
    TakeOver,
)
from flyteform_dataplane.engine.failures import Failure, FailureKind
from flyteform_dataplane.engine.graph import NodeKind
from flyteform_dataplane.engine.observations import (
    ArrayMeasured,
    AttemptFailed,
    AttemptStopped,
    BranchDecided,
    NodeRefused,
    OutputsCollected,
    TakenOver,
    TimerFired,
    WorkflowEntered,
)
from flyteform_dataplane.engine.phases import NodePhase
from flyteform_dataplane.errors import UserError
from flyteform_dataplane.runner.conditions import choose
from flyteform_dataplane.runner.literals import array_size, failure_of
from flyteform_dataplane.runner.waits import Waits, give_up

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping

    from flyteform_dataplane.engine.commands import Command, NodeCommand
    from flyteform_dataplane.engine.graph import Graph
    from flyteform_dataplane.engine.observations import Observation
    from flyteform_dataplane.engine.state import State
    from flyteform_dataplane.ports import Clock
    from flyteform_dataplane.runner.caching import Caching
    from flyteform_dataplane.runner.data import ExecutionData

logger = logging.getLogger(__name__)

_TRIES = 5
_PAUSE = timedelta(seconds=1)
# How long to wait for a result that another computes before the cache is asked again, longer where many wait.
_LOOK_AGAIN, _MANY_WAIT = timedelta(seconds=1), 50


class Job(Protocol):
    """What an attempt of a kind of node is. `start` of a task returns early, others when the attempt has ended."""

    async def start(self, command: StartAttempt, *, resumed: bool) -> None:
        """Start the attempt, or stay with it if it runs; a `resumed` one may have been started before a crash."""
        ...

    async def stop(self, command: StopAttempt) -> None:
        """End the attempt; `start` of it was cancelled if it had not returned."""
        ...


class Dispatcher:
    """Carries out the commands of one execution, `limit` at once; stops come before anything else."""

    def __init__(
        self,
        graph: Graph,
        state: State,
        *,
        data: ExecutionData,
        caching: Caching,
        clock: Clock,
        observe: Callable[[Observation], None],
        limit: int,
    ) -> None:
        self._graph = graph
        self._state = state
        self._data = data
        self._jobs: Mapping[NodeKind, Job] = {}
        self._waits = Waits()
        self._caching = caching
        self._clock = clock
        self._observe = observe
        self._limit = limit
        self._urgent: deque[Callable[[], Awaitable[None]]] = deque()
        self._waiting: deque[tuple[Command, bool]] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        # Counted by themselves: a task that has ended is known as such only a little later. Those that are coming were
        # hired and have not looked for work yet.
        self._working = 0
        self._coming = 0
        self._timers: set[asyncio.Task[None]] = set()

    def employ(self, jobs: Mapping[NodeKind, Job]) -> None:
        """Have the attempts of each kind of node be these."""
        self._jobs = jobs

    def submit(self, commands: Iterable[Command], *, resumed: bool = False) -> None:
        """Carry out the commands; `resumed` ones may have been carried out before a crash."""
        for command in commands:
            match command:
                case SetTimer():
                    self._spawn(self._timers, self._wait(command))
                case StopAttempt():
                    self.soon(lambda command=command: self._stop(command))  # type: ignore[misc]
                case StartAttempt() if self._graph.nodes[command.node].work is not NodeKind.TASK:
                    self._waits.begin(command, self._carry_out(command, resumed=resumed))
                case _:
                    self._waiting.append((command, resumed))
        self._hire()

    def soon(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do some work before the commands that wait."""
        self._urgent.append(work)
        self._hire()

    async def close(self) -> None:
        """Drop everything; attempts go on in their executor."""
        await self._waits.close()
        await give_up([*self._workers, *self._timers])
        self._jobs = {}  # some of them know us, and what is over is to be freed at once

    def _hire(self) -> None:
        queued = len(self._urgent) + len(self._waiting)
        for _ in range(min(self._limit - self._working, queued - self._coming)):
            self._working += 1
            self._coming += 1
            self._spawn(self._workers, self._work())

    def _spawn(self, group: set[asyncio.Task[None]], work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        group.add(task)
        task.add_done_callback(group.discard)

    async def _work(self) -> None:
        self._coming -= 1
        try:
            while self._urgent or self._waiting:
                if self._urgent:
                    await self._urgent.popleft()()
                else:
                    command, resumed = self._waiting.popleft()
                    if self._wanted(command):
                        await self._carry_out(command, resumed=resumed)
        finally:
            self._working -= 1

    def _wanted(self, command: Command) -> bool:
        """Whether the state still calls for the command: an abort may have overtaken it."""
        node = self._state.nodes[command.node]
        match command:
            case TakeOver():
                return node.phase is NodePhase.RECOVERING
            case MeasureArray() | EnterWorkflow() | DecideBranch():
                return node.phase is NodePhase.PREPARING
            case CollectOutputs():
                return node.phase is NodePhase.SUCCEEDING
            case _:
                return node.items is not None and node.phase.active

    async def _carry_out(self, command: Command, *, resumed: bool) -> None:
        for tries in range(1, _TRIES + 1):
            try:
                await self._do(command, resumed=resumed)
            except UserError as error:
                self._refuse(command, failure_of(error))
            except FlyteformError as error:
                if error.retryable and tries < _TRIES:
                    logger.warning("%s will be tried again: %s", command, error)
                    await self._clock.sleep(_PAUSE * tries)
                    continue
                self._refuse(command, Failure(error.code, error.message, FailureKind.SYSTEM, recoverable=True))
            except Exception as error:
                # An execution must end whatever happens, so a defect of ours counts as a failure of the system.
                logger.exception("%s could not be carried out", command)
                self._refuse(command, Failure("InternalError", repr(error), FailureKind.SYSTEM, recoverable=True))
            return

    def _refuse(self, command: Command, failure: Failure) -> None:
        at = self._now()
        if isinstance(command, StartAttempt):
            self._observe(AttemptFailed(command.node, command.index, command.attempt, failure, at))
        else:
            self._observe(NodeRefused(command.node, failure, at))

    async def _do(self, command: Command, *, resumed: bool) -> None:
        match command:
            case LookUpCache():
                await self._look_up(command)
            case StoreInCache():
                self._observe(await self._caching.store(command))
            case StartAttempt():
                await self._job(command.node).start(command, resumed=resumed)
            case StopAttempt():
                await self._stop(command)
            case SetTimer():
                await self._wait(command)
            case _:
                await self._do_node(command)

    async def _do_node(self, command: NodeCommand) -> None:
        match command:
            case TakeOver():
                found = await self._data.take_over(command.node)
                self._observe(TakenOver(command.node, found, self._now()))
            case MeasureArray():
                inputs = await self._data.inputs(command.node)
                size = array_size(inputs, self._graph.nodes[command.node].bound_inputs)
                self._observe(ArrayMeasured(command.node, size, self._now()))
            case EnterWorkflow():
                await self._data.enter_workflow(command.node)
                self._observe(WorkflowEntered(command.node, self._now()))
            case DecideBranch():
                self._observe(await self._decide(command.node))
            case CollectOutputs():
                await self._collect(command.node)
                self._observe(OutputsCollected(command.node, self._now()))
            case _:
                assert_never(command)

    async def _look_up(self, command: LookUpCache) -> None:
        answer = await self._caching.look_up(command)
        if answer is not None:
            self._observe(answer)
        else:
            self._spawn(self._timers, self._look_up_later(command))  # who waits keeps no worker from the others

    async def _look_up_later(self, command: LookUpCache) -> None:
        await self._clock.sleep(_LOOK_AGAIN * (1 + len(self._timers) // _MANY_WAIT))
        self.submit([command])

    async def _collect(self, node: str) -> None:
        match self._graph.nodes[node].kind:
            case NodeKind.END:
                await self._data.collect_workflow(node)
            case NodeKind.BRANCH:
                await self._data.collect_branch(node)
            case _:
                await self._data.collect_array(node)

    def _job(self, node: str) -> Job:
        work = self._graph.nodes[node].work
        if work is None:
            raise UserError(f"node {node} has nothing to attempt")
        return self._jobs[work]

    async def _decide(self, node: str) -> BranchDecided:
        inputs, cases = await self._data.inputs(node), self._graph.nodes[node].cases
        if cases is None:
            raise UserError(f"node {node} has no cases to choose from")
        try:
            return BranchDecided(node, choose(cases, inputs), self._now())
        except UserError as error:
            return BranchDecided(node, -1, self._now(), failure_of(error))

    async def _stop(self, command: StopAttempt) -> None:
        try:
            await self._waits.end(command)
            await self._job(command.node).stop(command)
        except Exception:
            # What cannot be ended now is ended by the executor's next start; the execution must not hang on it.
            logger.exception("%s failed", command)
        self._observe(AttemptStopped(command.node, command.index, command.attempt, self._now()))

    async def _wait(self, command: SetTimer) -> None:
        remaining = command.at - self._now()
        if remaining > 0:
            await self._clock.sleep(timedelta(seconds=remaining))
        self._observe(TimerFired(command.node, command.index, command.attempt, max(command.at, self._now())))

    def _now(self) -> float:
        return self._clock.now().timestamp()
