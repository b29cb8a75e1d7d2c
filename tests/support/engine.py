"""The pure engine with a workflow in it, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform_dataplane.engine import State, advance, apply, index_closure
from flyteform_dataplane.engine.changes import decode, encode
from flyteform_dataplane.engine.snapshots import restore, take

if TYPE_CHECKING:
    from flyteform_dataplane.engine import Advance
    from flyteform_dataplane.engine.graph import Deadlines
    from flyteform_dataplane.engine.observations import Observation
    from flyteform_dataplane.engine.phases import NodePhase
    from support.closures import Flow


class Engine:
    """One execution; each step is checked against a replay of its changes."""

    def __init__(
        self,
        flow: Flow,
        *,
        max_parallelism: int = 0,
        overwrite_cache: bool = False,
        interruptible: bool | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        self.graph = index_closure(
            flow.build(),
            max_parallelism=max_parallelism,
            overwrite_cache=overwrite_cache,
            interruptible=interruptible,
            deadlines=deadlines,
        )
        self.state = State()

    def see(self, *observations: Observation) -> Advance:
        """Advance, and check that the changes alone lead to the same state, also through the log."""
        before = take(self.state)
        step = advance(self.graph, self.state, observations)
        again = restore(before)
        for change in decode(encode(step.changes)):
            apply(self.graph, again, change)
        assert take(again) == take(self.state)
        return step

    def phase(self, node: str) -> NodePhase:
        """Return a node's phase."""
        return self.state.node(self.graph, node).phase
