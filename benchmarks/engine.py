"""The engine alone, with tasks that end at once: what a node costs in time, log and memory, and how that grows."""

from __future__ import annotations

import sys
import time
import tracemalloc
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure

from benchmarks.measure import report
from flyteform_dataplane.collector import calm
from flyteform_dataplane.engine import State, advance, index_closure
from flyteform_dataplane.engine.changes import ItemsStarted, encode
from flyteform_dataplane.engine.commands import CollectOutputs, MeasureArray, StartAttempt
from flyteform_dataplane.engine.observations import ArrayMeasured, AttemptSucceeded, OutputsCollected, Started

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteform_dataplane.engine.commands import Command
    from flyteform_dataplane.engine.observations import Observation

START, END = "start-node", "end-node"
# What a driver folds into one step at most.
FOLD = 500
SMALL, LARGE = 1_000, 100_000
MEASURED = 10_000  # where memory is looked at, which takes its time
GOAL_TRANSITIONS, GOAL_GROWTH = 50_000, 1.5


@dataclass(frozen=True, slots=True)
class Result:
    """One execution: processor time in seconds, transitions of nodes and items, bytes of log, and of memory at most."""

    size: int
    seconds: float
    transitions: int
    logged: int
    memory: int


def chain(size: int) -> CompiledWorkflowClosure:
    """Return a workflow of tasks one after the other."""
    return _workflow([START, *(f"n{number}" for number in range(size)), END])


def fan(size: int) -> CompiledWorkflowClosure:
    """Return a workflow of tasks that depend on nothing."""
    closure = _workflow([START, END])
    closure.primary.connections.upstream[END].ids[:] = [f"n{number}" for number in range(size)]
    for number in range(size):
        _add_task(closure, f"n{number}", START)
    return closure


def array(_size: int) -> CompiledWorkflowClosure:
    """Return a workflow of one map; how many items it has is said when it is measured."""
    closure = _workflow([START, "map", END])
    node = closure.primary.template.nodes[1]
    node.array_node.node.task_node.CopyFrom(node.task_node)
    return closure


def run(make: Callable[[int], CompiledWorkflowClosure], size: int, *, memory: bool = False) -> Result:
    """Run a workflow of this size to its end; memory is measured only if asked for, as that takes time."""
    graph, state = index_closure(make(size)), State()
    seen: list[Observation] = [Started(1.0)]
    commands: list[Command] = []
    transitions = logged = 0
    if memory:
        tracemalloc.start()
    begun = time.process_time()
    while not state.phase.terminal:
        step = advance(graph, state, seen)
        transitions += sum(change.count if isinstance(change, ItemsStarted) else 1 for change in step.changes)
        logged += len(encode(step.changes))
        commands.extend(step.commands)
        seen = [_answer(command, size) for command in commands[-FOLD:]]
        del commands[-FOLD:]
    seconds = time.process_time() - begun
    peak = tracemalloc.get_traced_memory()[1] if memory else 0
    tracemalloc.stop()
    return Result(size, seconds, transitions, logged, peak)


def main() -> None:
    """Print what a node costs in each workflow, and how that grows from a small to a large one."""
    calm()
    for name, make in (("chain", chain), ("fan-out", fan), ("array", array)):
        run(make, SMALL)  # so that nothing is done for the first time
        small = min((run(make, SMALL) for _ in range(5)), key=lambda result: result.seconds)
        large = run(make, LARGE)
        memory = run(make, MEASURED, memory=True).memory
        growth = (large.seconds / LARGE) / (small.seconds / SMALL)
        report(
            f"engine, {name} of {LARGE:,}: transitions per second against {GOAL_TRANSITIONS:,}",
            large.transitions / large.seconds / GOAL_TRANSITIONS,
            goal="1 or more",
            detail=f"{large.transitions / large.seconds:,.0f}/s, {large.seconds / LARGE * 1e6:.1f} us, "
            f"{large.logged / LARGE:.0f} B of log and {memory / MEASURED:.0f} B of memory each",
        )
        report(
            f"engine, {name}: cost of each in {LARGE:,} against {SMALL:,}",
            growth,
            goal=f"{GOAL_GROWTH} or less",
            detail=f"{small.seconds / SMALL * 1e6:.1f} us in the small one",
        )


def _workflow(order: list[str]) -> CompiledWorkflowClosure:
    """Return a workflow of these nodes, each after the one before it."""
    closure = CompiledWorkflowClosure()
    closure.tasks.add().template.id.name = "task"
    for above, node in zip(["", *order], order, strict=False):
        if node in (START, END):
            closure.primary.template.nodes.add(id=node)
            if above:
                closure.primary.connections.upstream[node].ids.append(above)
        else:
            _add_task(closure, node, above)
    return closure


def _add_task(closure: CompiledWorkflowClosure, node: str, above: str) -> None:
    closure.primary.template.nodes.add(id=node).task_node.reference_id.name = "task"
    closure.primary.connections.upstream[node].ids.append(above)


def _answer(command: Command, size: int) -> Observation:
    match command:
        case StartAttempt():
            return AttemptSucceeded(command.node, command.index, command.attempt, 2.0)
        case MeasureArray():
            return ArrayMeasured(command.node, size, 2.0)
        case CollectOutputs():
            return OutputsCollected(command.node, 2.0)
        case _:
            sys.exit(f"nothing is known of {command}")
