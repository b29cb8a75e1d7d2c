"""One step of the engine while it is being decided: what it changed and what it wants done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform_dataplane.engine.changes import NodeChanged
from flyteform_dataplane.engine.state import apply

if TYPE_CHECKING:
    from flyteform_dataplane.engine.changes import Change
    from flyteform_dataplane.engine.commands import Command
    from flyteform_dataplane.engine.graph import Graph, NodeRecord
    from flyteform_dataplane.engine.state import Items, NodeState, State


class Step:
    """Collects the changes and commands; `record` moves the state at once, so that what follows sees it."""

    __slots__ = ("changes", "commands", "graph", "state", "touched")

    def __init__(self, graph: Graph, state: State) -> None:
        self.graph = graph
        self.state = state
        self.changes: list[Change] = []
        self.commands: list[Command] = []
        # The parents of nodes that ended, which may end with them.
        self.touched: dict[str, None] = {}

    def record(self, change: Change) -> None:
        """Apply the change and keep it for the log."""
        apply(self.graph, self.state, change)
        self.changes.append(change)
        if (
            isinstance(change, NodeChanged)
            and change.after.terminal
            and (parent := self.graph.nodes[change.node].parent)
        ):
            self.touched[parent] = None

    def node(self, node: str) -> tuple[NodeRecord, NodeState]:
        """Return what is known of a node and where it stands."""
        return self.graph.nodes[node], self.state.node(self.graph, node)

    def items(self, node: str) -> Items | None:
        """Return the node's items if it has some yet."""
        state = self.state.nodes.get(node)
        return None if state is None else state.items
