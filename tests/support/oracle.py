"""Random workflows as plain data, and what must become of them: a naive interpreter that knows outcomes only.

It shares no code with the engine.
"""

from __future__ import annotations

import math
from base64 import b32encode
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING

from support.closures import Flow, compare, integers
from support.simulation import FATAL, HANG, OK, PENDING, RECOVERABLE, SYSTEM, Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flyteform.proto.flyteform.v1.link_pb2 import Lease


GATES = ("approve", "signal", "sleep")
# How a node or a workflow goes on: to a good or a bad end, or until somebody above loses patience.
GOOD, BAD, STUCK = "good", "bad", "stuck"


def unique(parent: str, name: str, attempt: int = 0) -> str:
    """Return a node execution's id: the way to it, or the 64 bits of its FNV-1a hash when that is longer than 20."""
    way = f"{parent}-{attempt}-{name}" if parent else name
    if not parent or len(way) <= 20:
        return way
    value = reduce(lambda known, byte: (known ^ byte) * 1099511628211 % 2**64, way.encode(), 14695981039346656037)
    return "f" + b32encode(value.to_bytes(8, "big")).decode().lower().replace("=", "")


@dataclass
class Step:
    """A node of a plan: `size` None for a single one; one with an `inner` plan runs that as a sub-workflow.

    One with `cases` is a branch and runs the case with the number `taken`, or fails when that is -1. `work` is what
    others do: a "task", a "launch" of a child, or the gates "approve", "signal" and "sleep". A task may be dynamic
    and make a plan at each of its attempts, `made`. `timeout` is its own for an attempt.
    """

    name: str
    after: list[str]
    size: int | None = None
    inner: Plan | None = None
    cases: list[Step] = field(default_factory=list)
    taken: int = -1
    work: str = "task"
    made: dict[int, Plan] = field(default_factory=dict)
    timeout: float = 0.0
    retries: int = 0
    cached: bool = False
    parallelism: int = 0
    ratio: float = 1.0

    @property
    def below(self) -> list[Plan]:
        """The workflows that run below it."""
        return [*([self.inner] if self.inner is not None else ()), *self.made.values()]


@dataclass
class Limits:
    """The deadlines of an execution in seconds, 0 for none.

    `far` ones are met by nothing but what never ends, so that it is known what must become of a workflow. With
    `sticks` an attempt that never ends may have no deadline of its own, as one above it is sure to come.
    """

    attempt: float = 0.0
    node: float = 0.0
    workflow: float = 0.0
    queue: float = 0.0
    far: bool = False
    near: bool = False
    sticks: bool = False


@dataclass
class Plan:
    """A workflow and all that will happen in it, by the unique ids of its nodes.

    `parent` is the node that runs it, and `attempt` the one that made it if that is a dynamic task.
    """

    steps: list[Step] = field(default_factory=list)
    outcomes: dict[tuple[str, int, int], str] = field(default_factory=dict)
    hits: set[tuple[str, int]] = field(default_factory=set)
    former: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    finish_others: bool = False
    max_parallelism: int = 0
    parent: str = ""
    attempt: int = 0
    failure: Step | None = None
    limits: Limits = field(default_factory=Limits)

    def within(self, parent: str, *, finish_others: bool, attempt: int = 0) -> Plan:
        """Return an empty plan for a node of this one to run."""
        lots = (self.outcomes, self.hits, self.former, self.gone)
        return Plan([], *lots, finish_others, parent=parent, attempt=attempt, limits=self.limits)

    def id_of(self, step: Step) -> str:
        """Return the unique id of a step of this plan."""
        return unique(self.parent, step.name, self.attempt)

    def lease(self) -> Lease:
        """Build the execution."""
        lease = self.flow().lease()
        lease.spec.max_parallelism = self.max_parallelism
        return lease

    def flow(self) -> Flow:
        """Build the workflow."""
        flow = Flow(finish_others=self.finish_others, name=f"sub-{self.parent}" if self.parent else "wf")
        for step in self.steps:
            _add(flow, step)
        if self.failure is not None:
            _add(flow, self.failure)
            flow.on_failure(self.failure.name)
        return flow

    def script(self) -> Script:
        """Return the same for the simulated world."""
        sizes = {name: step.size for name, step in self.all_steps() if step.size is not None}
        taken = {name: step.taken for name, step in self.all_steps() if step.cases}
        made = {
            (name, attempt): plan.flow().build()
            for name, step in self.all_steps()
            for attempt, plan in step.made.items()
        }
        works = {name: step.work for name, step in self.all_steps()}
        return Script(
            outcomes=self.outcomes,
            sizes=sizes,
            hits=frozenset(self.hits),
            taken=taken,
            made=made,
            former=frozenset(self.former),
            gone=frozenset(self.gone),
            gates=frozenset(name for name, work in works.items() if work in GATES),
            sleeps=frozenset(name for name, work in works.items() if work == "sleep"),
        )

    def all_steps(self) -> Iterator[tuple[str, Step]]:
        """Yield the steps of this plan and of all plans within, with their unique ids."""
        for step in (*self.steps, *([self.failure] if self.failure is not None else ())):
            yield from _below(self.id_of(step), step)

    def all_finish(self) -> bool:
        """Whether what can run does run everywhere, whatever else fails."""
        return self.finish_others and all(plan.finish_others for _, step in self.all_steps() for plan in step.below)


def _below(name: str, step: Step) -> Iterator[tuple[str, Step]]:
    yield name, step
    for plan in step.below:
        yield from plan.all_steps()
    for case in step.cases:
        yield from _below(unique(name, case.name), case)


def _add(flow: Flow, step: Step) -> None:
    if step.inner is not None:
        flow.sub(step.name, step.inner.flow(), after=step.after)
    elif step.cases:
        for case in step.cases:
            _add(flow, case)
        conditions = [(compare("c", "EQ", number), case.name) for number, case in enumerate(step.cases)]
        flow.branch(step.name, {"c": step.taken}, conditions, after=step.after)
    elif step.work == "launch" and step.size is None:
        flow.launch(step.name, after=step.after, retries=step.retries, timeout=step.timeout)
    elif step.work == "launch":
        items, limits = {"x": integers(*range(step.size or 0))}, {"parallelism": step.parallelism}
        flow.map_launch(step.name, items, after=step.after, retries=step.retries, min_ratio=step.ratio, **limits)
    elif step.work != "task":
        flow.gate(step.name, step.work, after=step.after, seconds=5, timeout=step.timeout)
    elif step.size is None:
        flow.task(step.name, after=step.after, retries=step.retries, cached=step.cached, timeout=step.timeout)
    else:
        flow.map(
            step.name,
            {"x": integers(*range(step.size))},
            after=step.after,
            retries=step.retries,
            cached=step.cached,
            parallelism=step.parallelism,
            min_ratio=step.ratio,
        )


def attempt_limit(plan: Plan, step: Step) -> float:
    """Return how long an attempt of a step may take, 0 for as long as it likes."""
    if step.work != "task":
        return step.timeout
    return (step.timeout if step.size is None else 0.0) or plan.limits.attempt


def item_goes(plan: Plan, step: Step, name: str, index: int, unfold: Callable[[int], Plan | None]) -> str:
    """Go through an item's attempts by Flyte's two budgets; `unfold` gives what an attempt makes that goes well."""
    users = systems = 0
    if step.cached and (name, index) in plan.hits:
        return GOOD
    while True:
        attempt = users + systems
        outcome = plan.outcomes.get((name, index, attempt), OK)
        if outcome == OK:
            made = unfold(attempt)
            outcome = {GOOD: OK, BAD: RECOVERABLE, STUCK: HANG}[goes(made)] if made is not None else OK
        if outcome == OK:
            return GOOD
        if outcome == HANG and not attempt_limit(plan, step):
            return STUCK
        if outcome in (FATAL, PENDING):
            return BAD
        systems += outcome == SYSTEM
        users += outcome != SYSTEM
        if systems == 3 or users > step.retries:
            return BAD


def array_goes(plan: Plan, step: Step, name: str) -> str:
    """Judge a map: items begin in their order, and one that is stuck keeps its place."""
    size = step.size or 0
    good = bad = stuck = 0
    for index in range(size):
        if step.parallelism and stuck == step.parallelism:
            break
        end = item_goes(plan, step, name, index, lambda _: None)
        good, bad, stuck = good + (end == GOOD), bad + (end == BAD), stuck + (end == STUCK)
    if size - bad < math.ceil(round(step.ratio * size, 6)):
        return BAD
    return STUCK if good + bad < size else GOOD


def node_goes(plan: Plan, step: Step, name: str, good: set[str]) -> str:
    """Judge a node that is reached, of the unique id `name`; add what succeeds below it to `good`."""
    if name in plan.former - plan.gone and step is not plan.failure:
        return GOOD
    if step.inner is not None:
        below, end = nodes_of(step.inner)
        good |= below
        return end
    if step.cases:
        if step.taken < 0:
            return BAD
        case = step.cases[step.taken]
        case_name = unique(name, case.name)
        end = node_goes(plan, case, case_name, good)
        good |= {case_name} if end == GOOD else set()
        return end
    if step.size is not None:
        return array_goes(plan, step, name)

    def unfold(attempt: int) -> Plan | None:
        made = step.made.get(attempt)
        if made is not None:
            good.update(nodes_of(made)[0])
        return made

    return item_goes(plan, step, name, 0, unfold)


def nodes_of(plan: Plan) -> tuple[set[str], str]:
    """Return the nodes that succeed when everything that can run does, and how the workflow goes."""
    good: set[str] = set()
    ends: set[str] = set()
    for step in plan.steps:
        name = plan.id_of(step)
        above = (unique(plan.parent, upper, plan.attempt) for upper in step.after)
        if all(upper in good for upper in above):
            end = node_goes(plan, step, name, good)
            ends.add(end)
            good |= {name} if end == GOOD else set()
    # Who waits for the others waits for those that are stuck too; a failure that ends all at once ends these.
    stuck = STUCK in ends and (plan.finish_others or BAD not in ends)
    end = STUCK if stuck and plan.parent else BAD if ends & {BAD, STUCK} else GOOD
    if end == BAD and plan.failure is not None:
        name = plan.id_of(plan.failure)
        last = node_goes(plan, plan.failure, name, good)
        good |= {name} if last == GOOD else set()
        end = STUCK if last == STUCK and plan.parent else BAD
    return good, end


def goes(plan: Plan) -> str:
    """Return how a workflow goes."""
    return nodes_of(plan)[1]


def succeeding_nodes(plan: Plan) -> tuple[set[str], bool]:
    """Return the nodes that succeed when everything that can run does, and whether the workflow succeeds.

    What is stuck at the top is given up by the deadlines of nodes or of the execution, so that it fails.
    """
    good, end = nodes_of(plan)
    return good, end == GOOD
