"""One running execution: observations in, changes into the log, commands and events out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteform_dataplane.engine.advance import advance
from flyteform_dataplane.engine.changes import NodeChanged, decode
from flyteform_dataplane.engine.commands import StartAttempt, StoreInCache
from flyteform_dataplane.engine.events import events_of
from flyteform_dataplane.engine.graph import NodeKind
from flyteform_dataplane.engine.observations import AbortRequested, Started
from flyteform_dataplane.engine.pending import pending
from flyteform_dataplane.engine.phases import WorkflowPhase
from flyteform_dataplane.engine.snapshots import restore
from flyteform_dataplane.engine.state import State, apply
from flyteform_dataplane.runner.acknowledgements import Acknowledgements
from flyteform_dataplane.runner.arrivals import Arrivals
from flyteform_dataplane.runner.attempts import Attempts
from flyteform_dataplane.runner.caching import Caching
from flyteform_dataplane.runner.children import ChildExecutions
from flyteform_dataplane.runner.context import key_of
from flyteform_dataplane.runner.data import ExecutionData
from flyteform_dataplane.runner.dispatch import Dispatcher
from flyteform_dataplane.runner.dynamics import Dynamics
from flyteform_dataplane.runner.gates import Gates
from flyteform_dataplane.runner.journal import Journal, Written, may_go_ahead
from flyteform_dataplane.runner.messages import Renderer
from flyteform_dataplane.runner.outbox import Outbox
from flyteform_dataplane.runner.waits import Surroundings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform.objects.ports import ObjectStore
    from flyteform_dataplane.engine.events import Event
    from flyteform_dataplane.engine.observations import Observation
    from flyteform_dataplane.ports import Catalog, Clock, ControlPlane, Executor, Reporter
    from flyteform_dataplane.runner.children import Endings
    from flyteform_dataplane.runner.config import RunnerConfig
    from flyteform_dataplane.runner.context import ExecutionContext
    from flyteform_dataplane.runner.data import LiteralCache
    from flyteform_dataplane.runner.log import Log, LoggedExecution
    from flyteform_dataplane.runner.pacing import Turns


@dataclass(frozen=True, slots=True)
class World:
    """What all executions of a data plane share."""

    log: Log
    objects: ObjectStore
    executor: Executor
    catalog: Catalog
    reporter: Reporter
    control: ControlPlane
    endings: Endings
    clock: Clock
    config: RunnerConfig
    cache: LiteralCache
    turns: Turns


class Execution:
    """Runs one execution from what the log has of it to its end."""

    def __init__(self, world: World, context: ExecutionContext, logged: LoggedExecution) -> None:
        self._world = world
        self._context = context
        self._key = key_of(context.id)
        self._state, written, self._unsent = _replay(context, logged)
        config, clock = world.config, world.clock
        self._arrivals = Arrivals(config.fold_seconds)
        # Known apart from a former life by when this one began.
        self._life = repr(logged.accepted_at) if config.ahead else ""
        self._first = logged.first
        # Whether more may have been begun, before a crash, than the log says.
        again = self._state.phase is not WorkflowPhase.READY or (logged.first and not logged.new)
        self._surprised = config.ahead and again
        self._journal = Journal(
            context,
            self._state,
            written,
            log=world.log,
            turns=world.turns,
            config=config,
            wake=self._arrivals.wake,
        )
        self._acknowledgements = Acknowledgements(self._journal, world.reporter, logged.acknowledged)
        data = ExecutionData(context, self._state, world.objects, world.control, world.cache, config.output_bytes)
        caching = Caching(
            context, self._state, data=data, catalog=world.catalog, clock=clock, heartbeat=config.cache_heartbeat
        )
        dispatcher = Dispatcher(
            context.graph,
            self._state,
            data=data,
            caching=caching,
            clock=clock,
            observe=self._arrivals.observe,
            limit=config.commands,
        )
        attempts = Attempts(
            context,
            self._state,
            data=data,
            dynamics=Dynamics(context, world.objects, world.control),
            objects=world.objects,
            executor=world.executor,
            clock=clock,
            config=config,
            observe=self._arrivals.observe,
            soon=dispatcher.soon,
        )
        if self._surprised:
            attempts.look_back()
        around = Surroundings(context, self._state, data, world.control, clock, self._arrivals.observe)
        children = ChildExecutions(around, world.endings, self._acknowledgements.told)
        dispatcher.employ({NodeKind.TASK: attempts, NodeKind.LAUNCH_PLAN: children, NodeKind.GATE: Gates(around)})
        self._data = data
        self._attempts = attempts
        self._reservations = caching.reservations
        self._dispatcher = dispatcher
        renderer = Renderer(context, config.cluster, caching.reservations.status)
        self._outbox = Outbox(context, renderer, world.reporter, clock, config.array_report_seconds)

    @property
    def context(self) -> ExecutionContext:
        """What does not change of the execution."""
        return self._context

    @property
    def phase(self) -> WorkflowPhase:
        """Where the execution stands."""
        return self._state.phase

    def abort(self, cause: str) -> None:
        """End the execution."""
        self._arrivals.observe(AbortRequested(self._now(), cause))

    def acknowledge(self, event: int) -> None:
        """Note that the control plane knows all events up to this one."""
        self._acknowledgements.acknowledge(event)
        self._world.log.acknowledge(self._key, self._acknowledgements.known)

    async def run(self) -> None:
        """Go on to the end; returns when the control plane knows all. `UnavailableError` if the log is not writable."""
        try:
            await self._resume()
            while not self._state.phase.terminal:
                await self._advance(await self._arrivals.taken())
            if self._surprised and self._state.phase is not WorkflowPhase.SUCCEEDED:
                await self._world.executor.end(self._key)
            await self._acknowledgements.all_told()
            if self._world.config.finalize:
                await self._world.executor.end(self._key)
        finally:
            self._arrivals.close()
            self._journal.close()
            self._outbox.close()
            await self._dispatcher.close()
            await self._attempts.close()
            await self._reservations.close()
            await self._data.close()

    async def _resume(self) -> None:
        self._outbox.repeat(self._unsent)
        self._unsent = []
        if self._state.phase is WorkflowPhase.READY:
            if not self._first and not await self._data.clear(self._life):
                self._surprised = True
                self._attempts.look_back()
            await self._data.begin()
            self._arrivals.observe(Started(self._now()))
        else:
            commands = list(pending(self._context.graph, self._state))
            for command in commands:
                if isinstance(command, StartAttempt | StoreInCache):
                    self._reservations.resume(command.node, command.index)
            self._dispatcher.submit(commands, resumed=True)

    async def _advance(self, seen: Sequence[Observation]) -> None:
        step = advance(self._context.graph, self._state, seen)
        self._journal.note(step.changes)
        ahead = self._world.config.ahead and may_go_ahead(self._context.graph, self._state, seen, step.commands)
        if step.changes and ahead:
            self._journal.write_soon()
        elif step.changes:
            for command in step.commands[: self._world.config.commands]:
                if isinstance(command, StartAttempt):
                    self._prepare(command)  # while the log is written
            await self._write()
        self._dispatcher.submit(step.commands)
        if self._journal.due:
            await self._write()
        for change in step.changes:
            if isinstance(change, NodeChanged) and change.after.terminal:
                self._data.forget_inputs(change.node)

    async def _write(self) -> None:
        self._outbox.add(await self._journal.write(), last=self._state.phase.terminal)
        self._reservations.settle()

    def _prepare(self, command: StartAttempt) -> None:
        if self._context.graph.nodes[command.node].work is NodeKind.TASK:
            self._attempts.prepare(command)
        else:
            self._data.prepare_inputs(command.node)

    def _now(self) -> float:
        return self._world.clock.now().timestamp()


def _replay(context: ExecutionContext, logged: LoggedExecution) -> tuple[State, Written, list[tuple[int, Event]]]:
    """Return the state, what is written, and the events that were not acknowledged."""
    snapshot = logged.snapshot
    state = State() if snapshot is None else restore(snapshot.state)
    step, last_event, size = (
        (0, 0, 0) if snapshot is None else (snapshot.step, snapshot.last_event, len(snapshot.state))
    )
    unsent: list[tuple[int, Event]] = []
    for row in logged.steps:
        changes = decode(row.changes)
        if row.last_event > logged.acknowledged:
            events = events_of(context.graph, changes)
            numbered = enumerate(events, row.last_event - len(events) + 1)
            unsent.extend((number, event) for number, event in numbered if number > logged.acknowledged)
        if row.number > step:
            for change in changes:
                apply(context.graph, state, change)
            step, last_event = row.number, row.last_event
    return state, Written(step, last_event, sum(len(row.changes) for row in logged.steps), size), unsent
