"""What has to be done now, derived from the state alone: after a crash nothing else is needed to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform_dataplane.engine import items as item_life
from flyteform_dataplane.engine.commands import CollectOutputs, TakeOver
from flyteform_dataplane.engine.graph import SINGLE
from flyteform_dataplane.engine.nodes import PREPARATIONS, node_timers, timers
from flyteform_dataplane.engine.phases import NodePhase

if TYPE_CHECKING:
    from flyteform_dataplane.engine.commands import Command
    from flyteform_dataplane.engine.graph import Graph
    from flyteform_dataplane.engine.state import State


def pending(graph: Graph, state: State) -> list[Command]:
    """Derive every command that is under way; doing one again does no harm."""
    commands: list[Command] = []
    if state.phase.terminal:
        return commands
    commands.extend(timers(graph, state))
    for name, node in state.nodes.items():
        if not node.phase.active:
            continue
        commands.extend(node_timers(graph, name, node))
        kind = graph.nodes[name].kind
        if node.phase is NodePhase.RECOVERING:
            commands.append(TakeOver(name))
        elif node.phase is NodePhase.PREPARING and kind in PREPARATIONS:
            commands.append(PREPARATIONS[kind](name))
        elif node.phase is NodePhase.SUCCEEDING and kind not in SINGLE:
            commands.append(CollectOutputs(name))
        elif node.items is not None:
            for index in range(node.items.next):
                commands.extend(item_life.commands_for(graph.nodes[name], node.items, index))
    return commands
