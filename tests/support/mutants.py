"""Mistakes planted into the engine, each of which the simulation has to notice.

A mutant is one change of one function's source. It fails loudly when the text that it changes is there no more, so
that nobody can mend the engine and leave a mutant behind that changes nothing.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FunctionType

ENGINE = "flyteform_dataplane.engine"


@dataclass(frozen=True)
class Mutant:
    """What goes wrong, and the text of the function (`module.function` of the engine) that makes it so."""

    name: str
    function: str
    before: str
    after: str

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Run the block with the mistake in the engine."""
        module_name, _, path = self.function.partition(".")
        module = importlib.import_module(f"{ENGINE}.{module_name}")
        function: FunctionType = module
        for part in path.split("."):
            function = getattr(function, part)
        sound = function.__code__
        function.__code__ = self._code(function, vars(module))
        try:
            yield
        finally:
            function.__code__ = sound

    def _code(self, function: FunctionType, names: dict[str, object]) -> object:
        source = textwrap.dedent(inspect.getsource(function))
        if source.count(self.before) != 1:
            raise LookupError(f"mutant {self.name!r}: {self.before!r} is not in {self.function} exactly once")
        tree = ast.parse("from __future__ import annotations\n" + source.replace(self.before, self.after))
        made: dict[str, FunctionType] = {}
        exec(compile(tree, f"<mutant {self.name}>", "exec"), names.copy(), made)  # type: ignore[arg-type]  # noqa: S102 - a mutated copy of our own function
        return made[function.__name__].__code__


MUTANTS = (
    Mutant("a retry is lost", "failures.judge", "if current < budget:", "if current + 1 < budget:"),
    Mutant("one retry too many", "failures.judge", "if current < budget:", "if current <= budget:"),
    Mutant(
        "a system failure costs a user's retry",
        "failures.judge",
        "if failure.kind is FailureKind.SYSTEM:",
        "if False:",
    ),
    Mutant("a failure for good is tried again", "failures.judge", "if not failure.recoverable:", "if False:"),
    Mutant(
        "a failed attempt counts with the wrong budget",
        "state._count_failure",
        "items.systems if failure.kind is FailureKind.SYSTEM else items.users",
        "items.users if failure.kind is FailureKind.SYSTEM else items.systems",
    ),
    Mutant("an event is told twice", "events._node_events", "return [node]\n    task", "return [node, node]\n    task"),
    Mutant(
        "an array's last item is forgotten",
        "items.start",
        "if count <= 0:",
        "if count <= 0 or count == 1 < len(items):",
    ),
    Mutant(
        "an array succeeds early",
        "nodes._look_at_array",
        "if items.succeeded + items.failed == len(items):",
        "if items.succeeded + items.failed >= len(items) - 1:",
    ),
    Mutant(
        "an array fails with one failure too few",
        "nodes._cannot_succeed",
        "if size - items.failed >= record.required_successes(size):",
        "if size - items.failed > record.required_successes(size):",
    ),
    Mutant(
        "an array ignores how many have to succeed",
        "graph.NodeRecord.required_successes",
        "return min(ceil(round(self.min_success_ratio * size, 9)), size)",
        "return size",
    ),
    Mutant(
        "an array starts more than it may",
        "items.start",
        "count = min(count, limit - items.in_flight)",
        "count = min(count, limit + 1 - items.in_flight)",
    ),
    Mutant("more nodes run than may", "nodes._admit", "state.slots < limit", "state.slots <= limit"),
    Mutant(
        "a branch skips the case that it takes",
        "nodes.decided",
        "number != seen.taken",
        "number == seen.taken",
    ),
    Mutant("a branch takes its first case", "nodes.decided", "children[seen.taken]", "children[0]"),
    Mutant(
        "a branch that takes nothing is none the worse",
        "nodes.decided",
        "if seen.failure is not None:\n",
        "if False:\n",
    ),
    Mutant(
        "a node starts before all that it waits for",
        "nodes._reach_downstream",
        "state.remaining == 0",
        "state.remaining <= 1",
    ),
    Mutant(
        "a failure node never runs",
        "nodes._clean_up",
        "if not failure_node or",
        "if True or",
    ),
    Mutant(
        "a failure does not end its workflow",
        "ends.fail_node",
        "(step.graph.fail_immediately or end)",
        "end",
    ),
    Mutant(
        "a workflow that may finish is cut short",
        "ends.fail_node",
        "(step.graph.fail_immediately or end)",
        "True",
    ),
    Mutant(
        "a failed sub-workflow goes on",
        "ends.fail_parent",
        "_abort_nodes(step, step.graph.nodes[node].children, at, reason)",
        "pass",
    ),
    Mutant("an abort forgets what is below", "ends._abort_nodes", "while levels[-1]:", "while False:"),
    Mutant(
        "an attempt is left running",
        "items.stop_all",
        "if phase is not after:",
        "if phase is not after and not waiting:",
    ),
    Mutant(
        "a late observation of an old attempt counts",
        "items._current",
        "return seen.attempt == items.attempt(seen.index)",
        "return True",
    ),
    Mutant(
        "a repeated success counts twice",
        "items.succeeded",
        "if not (phase.attempting or phase is ItemPhase.TIMING_OUT):",
        "if False:",
    ),
    Mutant(
        "a repeated answer of the cache counts",
        "items.cache_answered",
        "if items.phases[seen.index] != ItemPhase.CHECKING_CACHE:",
        "if False:",
    ),
    Mutant("a hit is a miss", "items.cache_answered", "if seen.status is CacheStatus.HIT:", "if False:"),
    Mutant("a result that is stored is forgotten", "items.stored", "return True", "return False"),
    Mutant(
        "a crash forgets what ran", "pending.pending", "for index in range(node.items.next):", "for index in range(0):"
    ),
    Mutant("a crash forgets what was collected", "pending.pending", "commands.append(CollectOutputs(name))", "pass"),
    Mutant("a crash forgets what was entered", "pending.pending", "commands.append(PREPARATIONS[kind](name))", "pass"),
    Mutant("a replay counts differently", "state._apply_started", "items.next = end", "items.next = end - 1"),
    Mutant("a snapshot forgets who waits", "snapshots.restore", "OrderedDict.fromkeys(waiting)", "OrderedDict()"),
    Mutant("a snapshot forgets retries", "snapshots._take_counts", "if count]", "if count > 1]"),
    Mutant(
        "an old phase is entered again",
        "nodes.entered",
        "if step.state.nodes[node].phase is not NodePhase.PREPARING:",
        "if False:",
    ),
    Mutant("an attempt's deadline is lost", "items.running", "step.commands.append(SetTimer(", "str(("),
    Mutant(
        "the deadline is that of the first attempt",
        "state._apply_item",
        "items.deadlines[index] = change.at + timeout",
        "items.deadlines[index] = state.nodes[change.node].begun + timeout",
    ),
    Mutant("a timeout is no failure", "items.timed_out", "ItemPhase.TIMING_OUT", "ItemPhase.SUCCEEDED"),
    Mutant("a timeout is not tried again", "items.expired", "recoverable=True", "recoverable=False"),
    Mutant(
        "a node's deadline is lost",
        "nodes._begin_node",
        "step.commands.extend(_whole_timer(step.graph, node, step.state.nodes[node]))",
        "pass",
    ),
    Mutant(
        "a node's deadline is that of the queue",
        "ends.expire",
        "step.graph.deadlines.node,",
        "step.graph.deadlines.queue,",
    ),
    Mutant("a node's end does not wait for its parts", "ends.end_expired", "state.children == 0", "True"),
    Mutant(
        "a crash forgets deadlines of nodes", "nodes.node_timers", "_whole_timer(graph, node, state) + queue", "queue"
    ),
    Mutant(
        "the execution's deadline is lost",
        "nodes.begin",
        "step.commands.extend(timers(step.graph, step.state))",
        "pass",
    ),
    Mutant("a queue's deadline is lost", "ends.move", "if after.queueing", "if False"),
    Mutant("a queue's deadline holds for what runs", "ends.expire_in_queue", "state.phase in _WAITING and", ""),
    Mutant("a dynamic task is not tried again", "ends.fail_parent", "if retry", "if False"),
    Mutant(
        "a dynamic task is tried again for ever",
        "items.unmade",
        "items.attempt(0) + 1, failure",
        "items.attempt(0) + 1",
    ),
    Mutant(
        "a dynamic task is tried again before its turn",
        "nodes._look_at_parent",
        "move(step, node, NodePhase.REQUEUED, at)",
        "_start_single(step, node, state.items, at)",
    ),
    Mutant(
        "a dynamic task's deadline ends with its process",
        "state._apply_item",
        "elif items.deadlines and after is not ItemPhase.UNFOLDED",
        "elif items.deadlines",
    ),
    Mutant("an end is told before its parts", "nodes._look_at_parent", "if state.children:", "if False:"),
)
