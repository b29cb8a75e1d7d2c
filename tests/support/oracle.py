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
from support.simulation import FATAL, OK, RECOVERABLE, SYSTEM, Script

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from flyteform.proto.flyteform.v1.link_pb2 import Lease


def unique(parent: str, name: str) -> str:
    """Return a node execution's id: the way to it, or the 64 bits of its FNV-1a hash when that is longer than 20."""
    way = f"{parent}-0-{name}" if parent else name
    if not parent or len(way) <= 20:
        return way
    value = reduce(lambda known, byte: (known ^ byte) * 1099511628211 % 2**64, way.encode(), 14695981039346656037)
    return "f" + b32encode(value.to_bytes(8, "big")).decode().lower().replace("=", "")


@dataclass
class Step:
    """A node of a plan: `size` None for a plain task; one with an `inner` plan runs that as a sub-workflow.

    One with `cases` is a branch and runs the case with the number `taken`, or fails when that is -1.
    """

    name: str
    after: list[str]
    size: int | None = None
    inner: Plan | None = None
    cases: list[Step] = field(default_factory=list)
    taken: int = -1
    retries: int = 0
    cached: bool = False
    parallelism: int = 0
    ratio: float = 1.0


@dataclass
class Plan:
    """A workflow and all that will happen in it, by the unique ids of its nodes; `parent` is the node that runs it."""

    steps: list[Step] = field(default_factory=list)
    outcomes: dict[tuple[str, int, int], str] = field(default_factory=dict)
    hits: set[tuple[str, int]] = field(default_factory=set)
    finish_others: bool = False
    max_parallelism: int = 0
    parent: str = ""
    failure: Step | None = None

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
        return Script(outcomes=self.outcomes, sizes=sizes, hits=frozenset(self.hits), taken=taken)

    def all_steps(self) -> Iterator[tuple[str, Step]]:
        """Yield the steps of this plan and of all plans within, with their unique ids."""
        for step in (*self.steps, *([self.failure] if self.failure is not None else ())):
            yield from _below(self.parent, step)

    def all_finish(self) -> bool:
        """Whether what can run does run everywhere, whatever else fails."""
        return self.finish_others and all(step.inner.all_finish() for _, step in self.all_steps() if step.inner)


def _below(parent: str, step: Step) -> Iterator[tuple[str, Step]]:
    name = unique(parent, step.name)
    yield name, step
    if step.inner is not None:
        yield from step.inner.all_steps()
    for case in step.cases:
        yield from _below(name, case)


def _add(flow: Flow, step: Step) -> None:
    if step.inner is not None:
        flow.sub(step.name, step.inner.flow(), after=step.after)
    elif step.cases:
        for case in step.cases:
            _add(flow, case)
        conditions = [(compare("c", "EQ", number), case.name) for number, case in enumerate(step.cases)]
        flow.branch(step.name, {"c": step.taken}, conditions, after=step.after)
    elif step.size is None:
        flow.task(step.name, after=step.after, retries=step.retries, cached=step.cached)
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


def random_plan(source: random.Random, *, largest: int = 12, failing: float = 0.15, nesting: int = 3) -> Plan:
    """Make a workflow of chains, fans, maps, branches, sub-workflows and failure nodes, in which some attempts fail."""
    plan = Plan(finish_others=source.random() < 0.5, max_parallelism=source.choice((0, 1, 3)))
    _fill(plan, source, source.randint(1, largest), failing, nesting)
    return plan


def _fill(plan: Plan, source: random.Random, count: int, failing: float, nesting: int) -> None:
    for number in range(count):
        earlier = [step.name for step in plan.steps]
        step = _random_step(plan, source, (plan.parent, f"n{number}"), failing, nesting)
        step.after = source.sample(earlier, min(len(earlier), source.randint(0, 3)))
        plan.steps.append(step)
    if source.random() < 0.3:
        plan.failure = _random_step(plan, source, (plan.parent, "fn"), failing, nesting)


def _random_step(plan: Plan, source: random.Random, place: tuple[str, str], failing: float, nesting: int) -> Step:
    kind, name, own = source.random() if nesting else 1.0, place[1], unique(*place)
    if kind < 0.15:
        finish_others = source.random() < (0.7 if plan.finish_others else 0.3)
        inner = Plan([], plan.outcomes, plan.hits, finish_others, parent=own)
        _fill(inner, source, source.randint(0, 4), failing, nesting - 1)
        return Step(name, [], inner=inner)
    if kind < 0.3:
        names = [(own, f"{name}{letter}") for letter in "abc"[: source.randint(1, 3)]]
        cases = [_random_step(plan, source, case, failing, nesting - 1) for case in names]
        return Step(name, [], cases=cases, taken=-1 if source.random() < failing else source.randrange(len(cases)))
    return _random_task(plan, source, place, failing)


def _random_task(plan: Plan, source: random.Random, place: tuple[str, str], failing: float) -> Step:
    step = Step(
        name=place[1],
        after=[],
        size=source.choice((None, None, 0, 1, 7)),
        retries=source.randint(0, 2),
        cached=source.random() < 0.3,
        parallelism=source.choice((0, 1, 3)),
        ratio=source.choice((1.0, 0.7, 0.5)),
    )
    for index in range(1 if step.size is None else step.size):
        if source.random() < 0.2:
            plan.hits.add((unique(*place), index))
        for attempt in range(8):
            if source.random() < failing:
                kind = source.choice((RECOVERABLE, RECOVERABLE, SYSTEM, FATAL))
                plan.outcomes[unique(*place), index, attempt] = kind
    return step


def item_succeeds(plan: Plan, step: Step, name: str, index: int) -> bool:
    """Go through an item's attempts by Flyte's two budgets."""
    if step.cached and (name, index) in plan.hits:
        return True
    users = systems = 0
    while True:
        outcome = plan.outcomes.get((name, index, users + systems), OK)
        if outcome == OK:
            return True
        if outcome == FATAL:
            return False
        if outcome == SYSTEM:
            systems += 1
            if systems == 3:
                return False
        else:
            users += 1
            if users > step.retries:
                return False


def node_succeeds(plan: Plan, step: Step, name: str, good: set[str]) -> bool:
    """Judge a node that is reached, of the unique id `name`; add what succeeds below it to `good`."""
    if step.inner is not None:
        below, whole = succeeding_nodes(step.inner)
        good |= below
        return whole
    if step.cases:
        if step.taken < 0:
            return False
        case = step.cases[step.taken]
        case_name = unique(name, case.name)
        succeeded = node_succeeds(plan, case, case_name, good)
        good |= {case_name} if succeeded else set()
        return succeeded
    if step.size is None:
        return item_succeeds(plan, step, name, 0)
    successes = sum(item_succeeds(plan, step, name, index) for index in range(step.size))
    return successes >= math.ceil(round(step.ratio * step.size, 6))


def succeeding_nodes(plan: Plan) -> tuple[set[str], bool]:
    """Return the nodes that succeed when everything that can run does, and whether the workflow succeeds."""
    good: set[str] = set()
    whole = True
    for step in plan.steps:
        name = unique(plan.parent, step.name)
        if all(unique(plan.parent, above) in good for above in step.after) and node_succeeds(plan, step, name, good):
            good.add(name)
        else:
            whole = False
    if not whole and plan.failure is not None:
        name = unique(plan.parent, plan.failure.name)
        good |= {name} if node_succeeds(plan, plan.failure, name, good) else set()
    return good, whole
