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


GATES = ("approve", "signal", "sleep")


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
    and make the plan `made`.
    """

    name: str
    after: list[str]
    size: int | None = None
    inner: Plan | None = None
    cases: list[Step] = field(default_factory=list)
    taken: int = -1
    work: str = "task"
    made: Plan | None = None
    retries: int = 0
    cached: bool = False
    parallelism: int = 0
    ratio: float = 1.0


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
        made = {name: step.made.flow().build() for name, step in self.all_steps() if step.made is not None}
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
        below = (plan for _, step in self.all_steps() for plan in (step.inner, step.made))
        return self.finish_others and all(plan.all_finish() for plan in below if plan is not None)


def _below(name: str, step: Step) -> Iterator[tuple[str, Step]]:
    yield name, step
    for plan in (step.inner, step.made):
        if plan is not None:
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
        flow.launch(step.name, after=step.after, retries=step.retries)
    elif step.work == "launch":
        items, limits = {"x": integers(*range(step.size or 0))}, {"parallelism": step.parallelism}
        flow.map_launch(step.name, items, after=step.after, retries=step.retries, min_ratio=step.ratio, **limits)
    elif step.work != "task":
        flow.gate(step.name, step.work, after=step.after, seconds=5)
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
    if source.random() < 0.2:  # it recovers another execution
        names = [name for name, _ in plan.all_steps()]
        plan.former.update(name for name in names if source.random() < 0.3)
        plan.gone.update(name for name in plan.former if source.random() < 0.1)
    return plan


def _fill(plan: Plan, source: random.Random, count: int, failing: float, nesting: int) -> None:
    for number in range(count):
        earlier = [step.name for step in plan.steps]
        step = _random_step(
            plan, source, (unique(plan.parent, f"n{number}", plan.attempt), f"n{number}"), failing, nesting
        )
        step.after = source.sample(earlier, min(len(earlier), source.randint(0, 3)))
        plan.steps.append(step)
    if source.random() < 0.3:
        plan.failure = _random_step(plan, source, (unique(plan.parent, "fn", plan.attempt), "fn"), failing, nesting)


def _random_step(plan: Plan, source: random.Random, place: tuple[str, str], failing: float, nesting: int) -> Step:
    kind, own, name = source.random() if nesting else 1.0, *place
    if kind < 0.15:
        finish_others = source.random() < (0.7 if plan.finish_others else 0.3)
        inner = Plan([], plan.outcomes, plan.hits, plan.former, plan.gone, finish_others, parent=own)
        _fill(inner, source, source.randint(0, 4), failing, nesting - 1)
        return Step(name, [], inner=inner)
    if kind < 0.3:
        names = [(unique(own, f"{name}{letter}"), f"{name}{letter}") for letter in "abc"[: source.randint(1, 3)]]
        cases = [_random_step(plan, source, case, failing, nesting - 1) for case in names]
        return Step(name, [], cases=cases, taken=-1 if source.random() < failing else source.randrange(len(cases)))
    if kind < 0.38:
        return Step(name, [], work="sleep")
    step = _random_task(plan, source, place, failing)
    if step.work == "task" and step.size is None and kind < 0.55:
        attempt = winning_attempt(plan, step, own)
        if attempt is not None:
            finish_others = source.random() < (0.7 if plan.finish_others else 0.3)
            lots = (plan.outcomes, plan.hits, plan.former, plan.gone)
            step.made = Plan([], *lots, finish_others, parent=own, attempt=attempt)
            _fill(step.made, source, source.randint(0, 4), failing, nesting - 1)
    return step


def _random_task(plan: Plan, source: random.Random, place: tuple[str, str], failing: float) -> Step:
    step = Step(
        name=place[1],
        after=[],
        work=source.choice(("task", "task", "task", "launch", "approve", "signal")),
        size=source.choice((None, None, 0, 1, 7)),
        retries=source.randint(0, 2),
        cached=source.random() < 0.3,
        parallelism=source.choice((0, 1, 3)),
        ratio=source.choice((1.0, 0.7, 0.5)),
    )
    if step.work != "task":
        step.cached = False
    if step.work in ("approve", "signal"):
        step.size, step.retries = None, 0
    for index in range(1 if step.size is None else step.size):
        if source.random() < 0.2:
            plan.hits.add((place[0], index))
        for attempt in range(8):
            if source.random() < failing:
                kind = source.choice((RECOVERABLE, RECOVERABLE, SYSTEM, FATAL))
                plan.outcomes[place[0], index, attempt] = kind
    return step


def item_succeeds(plan: Plan, step: Step, name: str, index: int) -> bool:
    """Judge an item by the cache and by its attempts."""
    return (step.cached and (name, index) in plan.hits) or winning_attempt(plan, step, name, index) is not None


def winning_attempt(plan: Plan, step: Step, name: str, index: int = 0) -> int | None:
    """Go through an item's attempts by Flyte's two budgets; return the one that succeeds."""
    users = systems = 0
    while True:
        outcome = plan.outcomes.get((name, index, users + systems), OK)
        if outcome == OK:
            return users + systems
        if outcome == FATAL:
            return None
        if outcome == SYSTEM:
            systems += 1
            if systems == 3:
                return None
        else:
            users += 1
            if users > step.retries:
                return None


def node_succeeds(plan: Plan, step: Step, name: str, good: set[str]) -> bool:
    """Judge a node that is reached, of the unique id `name`; add what succeeds below it to `good`."""
    if name in plan.former - plan.gone and step is not plan.failure:
        return True
    plan_below = step.inner
    if step.made is not None and not (step.cached and (name, 0) in plan.hits):
        plan_below = step.made  # only a dynamic task that succeeds has it
    if plan_below is not None:
        below, whole = succeeding_nodes(plan_below)
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
        name = plan.id_of(step)
        above = (unique(plan.parent, upper, plan.attempt) for upper in step.after)
        if all(upper in good for upper in above) and node_succeeds(plan, step, name, good):
            good.add(name)
        else:
            whole = False
    if not whole and plan.failure is not None:
        name = plan.id_of(plan.failure)
        good |= {name} if node_succeeds(plan, plan.failure, name, good) else set()
    return good, whole
