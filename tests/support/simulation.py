"""A world for the pure engine, in virtual time: it carries out commands, slowly, twice, or not at all.

What it decides follows from its random source alone, so a seed gives the same run again.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Protocol

from flyteform_dataplane.engine import State, advance, apply, pending
from flyteform_dataplane.engine.changes import ItemChanged, NodeChanged, WorkflowChanged, decode, encode
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
from flyteform_dataplane.engine.events import events_of
from flyteform_dataplane.engine.failures import Failure, FailureKind
from flyteform_dataplane.engine.graph import NodeKind
from flyteform_dataplane.engine.indexing import index_growth
from flyteform_dataplane.engine.observations import (
    AbortRequested,
    ArrayMeasured,
    AttemptFailed,
    AttemptRunning,
    AttemptStopped,
    AttemptSucceeded,
    AttemptUnfolded,
    AttemptWaiting,
    BranchDecided,
    CacheAnswered,
    CacheStored,
    OutputsCollected,
    Started,
    TakenOver,
    TimerFired,
    WorkflowEntered,
)
from flyteform_dataplane.engine.phases import CacheStatus, ItemPhase, Wait
from flyteform_dataplane.engine.snapshots import restore, take
from flyteform_dataplane.runner.context import ExecutionContext
from flyteform_dataplane.runner.messages import Renderer
from support.legality import AdminRows

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure

    from flyteform.proto.flyteform.v1.events_pb2 import Event
    from flyteform.proto.flyteform.v1.link_pb2 import Lease
    from flyteform_dataplane.engine.changes import Change
    from flyteform_dataplane.engine.commands import Command, NodeCommand
    from flyteform_dataplane.engine.graph import Deadlines
    from flyteform_dataplane.engine.observations import Observation

OK, RECOVERABLE, FATAL, SYSTEM = "ok", "recoverable", "fatal", "system"
# An attempt that runs and never ends, and one that is never seen to run.
HANG, PENDING = "hang", "pending"
# How often a driver looks again when nothing happens, and how often in a row before only its timers are left.
_RESYNC_SECONDS, _RESYNCS = 100.0, 12
# How far apart things may be that are seen together.
_TOGETHER_SECONDS = 20.0
FAILURES = {
    RECOVERABLE: Failure("Boom", "it broke", recoverable=True),
    FATAL: Failure("Fatal", "it broke for good"),
    SYSTEM: Failure("Gone", "the machine went away", FailureKind.SYSTEM, recoverable=True),
}
Attempt = tuple[str, int, int]


@dataclass
class Script:
    """What will happen: the outcome of every attempt (OK where none is named), sizes of arrays, hits of the cache.

    `taken` is the case that each branch takes, -1 for none; `made` is what attempts of dynamic tasks make. Those of the
    `gates` that are in `sleeps` end by their own time. The nodes in `former` succeeded in an execution that is
    recovered; of those in `gone` too nothing is left.
    """

    outcomes: Mapping[Attempt, str] = field(default_factory=dict)
    durations: Mapping[Attempt, float] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    hits: frozenset[tuple[str, int]] = frozenset()
    taken: Mapping[str, int] = field(default_factory=dict)
    made: Mapping[tuple[str, int], CompiledWorkflowClosure] = field(default_factory=dict)
    former: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    gates: frozenset[str] = frozenset()
    sleeps: frozenset[str] = frozenset()
    abort_at: float | None = None


@dataclass
class Faults:
    """How often the world misbehaves, each from 0 to 1."""

    lose: float = 0.0
    repeat: float = 0.0
    crash: float = 0.0


class Logbook(Protocol):
    """Whoever looks at the changes as they are decided."""

    def take(self, changes: Sequence[Change]) -> None:
        """Look at the changes of one step; fails if they must not be."""


class Watcher(Protocol):
    """Whoever looks at the events that are sent; an event that was sent before comes with its number again."""

    def take(self, number: int, event: Event) -> None:
        """Look at one event; fails if it must not be."""


class Simulation:
    """Runs one execution to its end."""

    def __init__(
        self,
        lease: Lease,
        script: Script,
        source: random.Random,
        faults: Faults | None = None,
        watchers: Sequence[Watcher] = (),
        deadlines: Deadlines | None = None,
    ) -> None:
        self._lease = lease
        self._deadlines = deadlines
        self.script = script
        self.context = self._context()
        self.faults = faults or Faults()
        self.source = source
        self.now = 0.0
        self.state = State()
        self.log: list[tuple[bytes, int]] = []
        self.snapshot: tuple[int, bytes] | None = None
        self.events = 0
        self.rows = AdminRows()
        self.watchers = (self.rows, *watchers)
        self.logbooks: list[Logbook] = []
        self.renderer = Renderer(self.context, "sim")
        self.ends: dict[Attempt, float] = {}
        self.began: dict[Attempt, float] = {}
        self.runs: dict[Attempt, int] = {}
        self.counted: dict[str, int] = {}
        self._agenda: list[tuple[float, int, Observation]] = []
        self._timers: set[SetTimer] = set()
        self._quiet = 0
        self._order = 0

    def run(self) -> State:
        """Go on until the execution has ended; fails if it never does."""
        self._plan(Started(0.0))
        if self.script.abort_at is not None:
            self._plan(AbortRequested(self.script.abort_at, "enough"), self.script.abort_at, certain=True)
        for _ in range(20_000):
            if self.state.phase.terminal:
                self.rows.check_end()
                return self.state
            self._one_step()
        raise AssertionError(f"no end: {self.state.phase!r} with {self.state.active} active nodes")

    def _one_step(self) -> None:
        if not self._agenda:
            # The safety net of a driver: what has to be done is derived from the state again.
            self._carry_out(pending(self.context.graph, self.state))
            if self.state.active == 0 and not self.log:
                self._plan(Started(self.now))
            return
        if self._looks_again():
            return
        batch = [self._next()]
        while self._agenda and self._agenda[0][0] <= batch[0].at + _TOGETHER_SECONDS and self.source.random() < 0.5:
            batch.append(self._next())
        self._check_purity(batch)
        step = advance(self.context.graph, self.state, batch)
        self._note(step.changes)
        if step.changes:
            self._quiet = 0
            self.log.append((encode(step.changes), self.events + len(step.events)))
        # Not while nothing but time passes: what hangs would begin anew each time and its deadline never come.
        if (step.changes or not self._quiet) and self.source.random() < self.faults.crash:
            self._crash()
            return
        self._report(step.events)
        self._carry_out(step.commands)

    def _looks_again(self) -> bool:
        """Derive what has to be done once more if nothing is about to happen but that timers fire."""
        if self._quiet == _RESYNCS or not self.log or self._agenda[0][0] <= self.now + _RESYNC_SECONDS:
            return False
        self.now += _RESYNC_SECONDS
        self._quiet += 1
        self._carry_out(pending(self.context.graph, self.state))
        return True

    def _check_purity(self, batch: Sequence[Observation]) -> None:
        """Replay the changes on a copy of the state: it must move in the same way."""
        if self.source.random() < 0.05:
            copied = restore(take(self.state))
            first = advance(self.context.graph, copied, batch)
            again = restore(take(self.state))
            for change in first.changes:
                apply(self.context.graph, again, change)
            assert take(again) == take(copied)

    def _report(self, events: Sequence[object]) -> None:
        for event in events:
            self.events += 1
            self._tell(self.events, event)

    def _tell(self, number: int, event: object) -> None:
        message = self.renderer.render(number, event)  # type: ignore[arg-type]
        for watcher in self.watchers:
            watcher.take(number, message)

    def _crash(self) -> None:
        """Everything but the log and the finished attempts is gone."""
        self._count("crash")
        self._agenda = [entry for entry in self._agenda if isinstance(entry[2], AbortRequested)]
        self._timers.clear()
        self._quiet = 0
        self.ends = {attempt: at for attempt, at in self.ends.items() if at <= self.now}
        self.state = State()
        self.context = self._context()
        self.renderer = Renderer(self.context, "sim")
        start = 0
        if self.snapshot is not None:
            start = self.snapshot[0]
            self.state = restore(self.snapshot[1])
        self._regrow()
        for data, _ in self.log[start:]:
            for change in decode(data):
                apply(self.context.graph, self.state, change)
        if self.source.random() < 0.5:
            self.snapshot = len(self.log), take(self.state)
        number = 0
        for data, last in self.log:
            for event in events_of(self.context.graph, decode(data)):
                number += 1
                self._tell(number, event)
            assert number == last, "the events of the log are not those that were numbered"
        self.events = number
        if not self.log:
            self._plan(Started(self.now))
        self._carry_out(pending(self.context.graph, self.state))

    def _next(self) -> Observation:
        at, _, seen = heapq.heappop(self._agenda)
        self.now = max(self.now, at)
        if isinstance(seen, TimerFired):
            self._timers = {timer for timer in self._timers if timer.at > self.now}
        return seen

    def _plan(self, seen: Observation, at: float | None = None, *, certain: bool = False) -> None:
        copies = 1
        if not certain:
            if self.source.random() < self.faults.lose:
                self._count("lost")
                copies = 0
            elif self.source.random() < self.faults.repeat:
                self._count("repeated")
                copies = 2
        for copy in range(copies):
            self._order += 1
            late = self.source.random() * 50 if copy else 0.0
            heapq.heappush(self._agenda, ((at if at is not None else seen.at) + late, self._order, seen))

    def _carry_out(self, commands: Sequence[Command]) -> None:
        for command in commands:
            self._count(type(command).__name__)
            at = self.now + self.source.random() * 10
            match command:
                case TakeOver() | MeasureArray() | EnterWorkflow() | DecideBranch() | CollectOutputs():
                    self._plan(self._answer(command, at))
                case LookUpCache():
                    hit = (command.node, command.index) in self.script.hits
                    status = CacheStatus.HIT if hit else CacheStatus.MISS
                    self._plan(CacheAnswered(command.node, command.index, status, at))
                case StoreInCache():
                    self._plan(CacheStored(command.node, command.index, CacheStatus.POPULATED, at))
                case StartAttempt():
                    self._start(command)
                case StopAttempt():
                    self._end_early((command.node, command.index, command.attempt))
                    self._plan(AttemptStopped(command.node, command.index, command.attempt, at))
                case SetTimer():
                    self._set(command)

    def _set(self, timer: SetTimer) -> None:
        if timer in self._timers:
            return
        self._timers.add(timer)
        late = self.source.random() * 50 if self.source.random() < self.faults.lose else 0.0
        due = max(timer.at + late, self.now)
        self._plan(TimerFired(timer.node, timer.index, timer.attempt, due), certain=True)

    def _answer(self, command: NodeCommand, at: float) -> Observation:
        match command:
            case TakeOver():
                return TakenOver(command.node, command.node not in self.script.gone, at)
            case MeasureArray():
                return ArrayMeasured(command.node, self.script.sizes[command.node], at)
            case EnterWorkflow():
                return WorkflowEntered(command.node, at)
            case DecideBranch():
                taken = self.script.taken[command.node]
                return BranchDecided(command.node, taken, at, FAILURES[FATAL] if taken < 0 else None)
            case CollectOutputs():
                return OutputsCollected(command.node, at)

    def _start(self, command: StartAttempt) -> None:
        """Run the attempt unless it runs, or its files say that it has ended."""
        attempt = command.node, command.index, command.attempt
        outcome = self.script.outcomes.get(attempt, OK)
        if attempt not in self.ends:
            self.runs[attempt] = self.runs.get(attempt, 0) + 1
            began = self.began[attempt] = self.now + self.source.random()
            lasts = self.script.durations.get(attempt, self.source.random() * 10)
            self.ends[attempt] = inf if outcome in (HANG, PENDING) else began + lasts
            self._check_limits(command.node)
            if outcome != PENDING:
                self._plan(AttemptRunning(*attempt, began, "log"))
            elif self.context.graph.nodes[command.node].work is NodeKind.TASK:
                self._plan(AttemptWaiting(*attempt, Wait.WAITING_FOR_RESOURCES, "no room", began), certain=True)
        at = max(self.now, self.ends[attempt])
        if command.node in self.script.sleeps:
            self._plan(AttemptRunning(*attempt, self.now, "log"))
        elif outcome == HANG:
            self._plan(AttemptRunning(*attempt, self.began[attempt], "log"))
        elif outcome == OK and (command.node, command.attempt) in self.script.made:
            self._grow(command.node, command.attempt)
            self._plan(AttemptUnfolded(*attempt, at))
        elif outcome == OK:
            self._plan(AttemptSucceeded(*attempt, at))
        elif outcome != PENDING:
            self._plan(AttemptFailed(*attempt, FAILURES[outcome], at))

    def _check_limits(self, node: str) -> None:
        """Fail when more runs at the same time than the execution and the array allow."""
        if node in self.script.gates:
            return  # waiting costs nothing
        running = [
            attempt for attempt, end in self.ends.items() if end > self.now and attempt[0] not in self.script.gates
        ]
        limit, own = self.context.graph.max_parallelism, self.context.graph.nodes[node].parallelism
        assert not limit or len({attempt[0] for attempt in running}) <= limit, "more nodes run than may"
        assert not own or sum(attempt[0] == node for attempt in running) <= own, f"more items of {node} run than may"

    def _context(self) -> ExecutionContext:
        context = ExecutionContext.of(self._lease, self._deadlines)
        context.graph.recoverable.update(self.script.former)
        return context

    def _grow(self, node: str, attempt: int) -> None:
        """Add what a dynamic task made to the graph, as a driver does before the engine hears of it."""
        if attempt not in self.context.dynamics.get(node, {}):
            closure = self.script.made[node, attempt]
            growth = index_growth(self.context.graph, node, attempt, closure)
            assert not isinstance(growth, Failure), growth.message
            self.context.graph.grow(growth)
            self.context.dynamics.setdefault(node, {})[attempt] = closure

    def _regrow(self) -> None:
        """Add to a new graph all that the log says was made."""
        for data, _ in self.log:
            for change in decode(data):
                if isinstance(change, ItemChanged) and change.after is ItemPhase.UNFOLDED:
                    self._grow(change.node, change.attempt)

    def _end_early(self, attempt: Attempt) -> None:
        if self.ends.get(attempt, 0.0) > self.now:
            self._agenda = [entry for entry in self._agenda if not _is_end_of(entry[2], attempt)]
            heapq.heapify(self._agenda)
            self.ends[attempt] = self.now

    def _note(self, changes: Sequence[Change]) -> None:
        """Count which transitions occur, of which kinds of nodes."""
        for logbook in self.logbooks:
            logbook.take(changes)
        for change in changes:
            match change:
                case WorkflowChanged():
                    self._count(f"execution -> {change.after.name}")
                    if change.failure is not None and "the execution took" in change.failure.message:
                        self._count("execution given up")
                case NodeChanged():
                    kind = self.context.graph.nodes[change.node].kind.value
                    self._count(f"{kind} {change.before.name} -> {change.after.name}")
                case ItemChanged():
                    self._count(f"item {change.before.name} -> {change.after.name}")

    def _count(self, what: str) -> None:
        self.counted[what] = self.counted.get(what, 0) + 1


def _is_end_of(seen: Observation, attempt: Attempt) -> bool:
    ends = isinstance(seen, AttemptSucceeded | AttemptUnfolded | AttemptFailed)
    return ends and (seen.node, seen.index, seen.attempt) == attempt
