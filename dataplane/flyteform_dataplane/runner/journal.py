"""What happens to one execution on its way into the log: at once, or a little later and together with more of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform_dataplane.engine.changes import encode
from flyteform_dataplane.engine.commands import (
    CollectOutputs,
    DecideBranch,
    EnterWorkflow,
    MeasureArray,
    SetTimer,
    StartAttempt,
)
from flyteform_dataplane.engine.events import events_of
from flyteform_dataplane.engine.graph import NodeKind
from flyteform_dataplane.engine.observations import (
    ArrayMeasured,
    AttemptRunning,
    AttemptSucceeded,
    AttemptWaiting,
    BranchDecided,
    OutputsCollected,
    Started,
    WorkflowEntered,
)
from flyteform_dataplane.engine.phases import WorkflowPhase
from flyteform_dataplane.engine.snapshots import take
from flyteform_dataplane.records import record
from flyteform_dataplane.runner.context import key_of
from flyteform_dataplane.runner.log import LoggedStep, Snapshot
from flyteform_dataplane.runner.summaries import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from flyteform_dataplane.engine.changes import Change
    from flyteform_dataplane.engine.commands import Command
    from flyteform_dataplane.engine.events import Event
    from flyteform_dataplane.engine.graph import Graph
    from flyteform_dataplane.engine.observations import Observation
    from flyteform_dataplane.engine.state import State
    from flyteform_dataplane.runner.config import RunnerConfig
    from flyteform_dataplane.runner.context import ExecutionContext
    from flyteform_dataplane.runner.log import Log
    from flyteform_dataplane.runner.pacing import Turn, Turns


@record
class Written:
    """What the log has of an execution: the numbers of the last step and event, the bytes of changes and snapshot."""

    step: int
    last_event: int
    changes: int
    snapshot: int


class Journal:
    """The log of one execution as its runner writes it; what is noted becomes one step with the next write.

    `wake` is called when what waits has its turn to be written.
    """

    def __init__(
        self,
        context: ExecutionContext,
        state: State,
        written: Written,
        *,
        log: Log,
        turns: Turns,
        config: RunnerConfig,
        wake: Callable[[], None],
    ) -> None:
        self._key = key_of(context.id)
        self._graph = context.graph
        self._state = state
        self._log = log
        self._turns = turns
        self._config = config
        self._wake = wake
        self._tally = Tally(state)
        self._step = written.step
        self.last_event = written.last_event  # its number; what is only noted has none yet
        self._unsnapped = written.changes
        self._snapshot_size = written.snapshot
        self._noted: list[Change] = []
        self._turn: Turn | None = None

    @property
    def due(self) -> bool:
        """Whether what waits has its turn."""
        return self._turn is not None and self._turn.given

    def note(self, changes: Iterable[Change]) -> None:
        """Take changes that the state has already; they are in the log when `write` has returned."""
        self._noted.extend(changes)

    def write_soon(self) -> None:
        """Have what is noted written before long, with what is noted until then."""
        if self._turn is None:
            self._turn = self._turns.ask(self._wake)

    async def write(self) -> list[tuple[int, Event]]:
        """Write what is noted as one step; return its events with their numbers. `UnavailableError` as the log says."""
        noted, self._noted = self._noted, []
        if not (noted and self.due):
            self.close()
        if not noted:
            return []
        events = events_of(self._graph, noted)
        first = self.last_event + 1
        self.last_event += len(events)
        self._step += 1
        changes = encode(noted)
        self._unsnapped += len(changes)
        step = LoggedStep(self._step, self.last_event, changes)
        await self._log.append(self._key, step, self._snapshot(), self._tally.take(noted))
        self.close()
        return list(enumerate(events, first))

    def close(self) -> None:
        """Wait for no turn, and let others have theirs."""
        if self._turn is not None:
            self._turn.end()
            self._turn = None

    def _snapshot(self) -> Snapshot | None:
        # Growing with the state, so that snapshots cost no more than the log that they shorten.
        if self._unsnapped <= max(self._config.snapshot_bytes, 2 * self._snapshot_size):
            return None
        state = take(self._state)
        self._unsnapped, self._snapshot_size = 0, len(state)
        return Snapshot(self._step, self.last_event, state)


# What can be observed again after a crash: it lies in the object store, or follows from what lies there.
_LASTING = (Started, ArrayMeasured, WorkflowEntered, OutputsCollected, BranchDecided)
# What does no harm if it is done without the log knowing, as nothing but files comes of it, and always the same.
_HARMLESS = (CollectOutputs, MeasureArray, EnterWorkflow, DecideBranch, SetTimer)


def may_go_ahead(graph: Graph, state: State, seen: Sequence[Observation], commands: Iterable[Command]) -> bool:
    """Say whether commands may be carried out before the log has what they follow from.

    They may where a successor who knows only the log comes to the same: attempts of tasks that have succeeded have
    their outputs in the object store, and from there the same attempts are started again, by the same names.
    """
    return (
        state.phase in (WorkflowPhase.RUNNING, WorkflowPhase.SUCCEEDING)
        and all(_lasts(graph, each) for each in seen)
        and all(_is_harmless(graph, each) for each in commands)
    )


def _lasts(graph: Graph, seen: Observation) -> bool:
    match seen:
        case AttemptWaiting() | AttemptRunning() | AttemptSucceeded():
            return graph.nodes[seen.node].work is NodeKind.TASK
        case BranchDecided():
            return seen.failure is None
        case _:
            return isinstance(seen, _LASTING)


def _is_harmless(graph: Graph, command: Command) -> bool:
    if isinstance(command, StartAttempt):
        return graph.nodes[command.node].work is NodeKind.TASK
    return isinstance(command, _HARMLESS)
