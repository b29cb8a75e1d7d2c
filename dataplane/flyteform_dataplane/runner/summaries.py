"""Counts of an execution's nodes, kept up to date change by change, for the summary that people see."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from flyteform_dataplane.engine.changes import NodeChanged, WorkflowChanged
from flyteform_dataplane.runner.log import Summary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteform_dataplane.engine.changes import Change
    from flyteform_dataplane.engine.state import State

# The two nodes of every workflow that nobody wrote.
_FRAME = ("start-node", "end-node")
_LONGEST_MESSAGE = 1024


class Tally:
    """The nodes of one execution by their phase: what a step changes is all that it looks at."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._counts = Counter(node.phase for name, node in state.nodes.items() if not name.endswith(_FRAME))
        self._stopped_at = 0.0

    def take(self, changes: Iterable[Change]) -> Summary:
        """Return the summary after changes that the state has already."""
        for change in changes:
            if isinstance(change, NodeChanged) and not change.node.endswith(_FRAME):
                self._counts[change.before] -= 1
                self._counts[change.after] += 1
            elif isinstance(change, WorkflowChanged) and change.after.terminal:
                self._stopped_at = change.at
        running = good = bad = other = 0
        for phase, count in self._counts.items():
            if phase.active:
                running += count
            elif phase.good:
                good += count
            elif phase.bad:
                bad += count
            elif phase.terminal:
                other += count
        state = self._state
        message = state.failure.message[:_LONGEST_MESSAGE] if state.failure is not None else ""
        return Summary(state.phase.name.capitalize(), message, running, good, bad, other, state.begun, self._stopped_at)
