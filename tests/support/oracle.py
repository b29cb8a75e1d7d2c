"""Random workflows as plain data, and what must become of them: a naive interpreter that knows outcomes only.

It shares no code with the engine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support.closures import Flow, integers
from support.simulation import FATAL, OK, RECOVERABLE, SYSTEM, Script

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from flyteform.proto.flyteform.v1.link_pb2 import Lease


@dataclass
class Step:
    """A node of a plan: `size` None for a plain task; one with an `inner` plan runs that as a sub-workflow."""

    name: str
    after: list[str]
    size: int | None = None
    inner: Plan | None = None
    retries: int = 0
    cached: bool = False
    parallelism: int = 0
    ratio: float = 1.0


@dataclass
class Plan:
    """A workflow and all that will happen in it, by the unique ids of its nodes; `prefix` is what they begin with."""

    steps: list[Step] = field(default_factory=list)
    outcomes: dict[tuple[str, int, int], str] = field(default_factory=dict)
    hits: set[tuple[str, int]] = field(default_factory=set)
    finish_others: bool = False
    max_parallelism: int = 0
    prefix: str = ""

    def lease(self) -> Lease:
        """Build the execution."""
        lease = self.flow().lease()
        lease.spec.max_parallelism = self.max_parallelism
        return lease

    def flow(self) -> Flow:
        """Build the workflow."""
        flow = Flow(finish_others=self.finish_others, name=f"sub-{self.prefix}" if self.prefix else "wf")
        for step in self.steps:
            if step.inner is not None:
                flow.sub(step.name, step.inner.flow(), after=step.after)
            elif step.size is None:
                flow.task(step.name, after=step.after, retries=step.retries, cached=step.cached)
            else:
                inputs = {"x": integers(*range(step.size))}
                flow.map(
                    step.name,
                    inputs,
                    after=step.after,
                    retries=step.retries,
                    cached=step.cached,
                    parallelism=step.parallelism,
                    min_ratio=step.ratio,
                )
        return flow

    def script(self) -> Script:
        """Return the same for the simulated world."""
        sizes = {name: step.size for name, step in self.all_steps() if step.size is not None}
        return Script(outcomes=self.outcomes, sizes=sizes, hits=frozenset(self.hits))

    def all_steps(self) -> Iterator[tuple[str, Step]]:
        """Yield the steps of this plan and of all plans within, with their unique ids."""
        for step in self.steps:
            yield self.prefix + step.name, step
            if step.inner is not None:
                yield from step.inner.all_steps()

    def all_finish(self) -> bool:
        """Whether what can run does run everywhere, whatever else fails."""
        return self.finish_others and all(step.inner.all_finish() for step in self.steps if step.inner is not None)


def random_plan(source: random.Random, *, largest: int = 12, failing: float = 0.15, nesting: int = 2) -> Plan:
    """Make a workflow of chains, fans, maps and sub-workflows, in which some attempts fail."""
    plan = Plan(finish_others=source.random() < 0.5, max_parallelism=source.choice((0, 1, 3)))
    _fill(plan, source, source.randint(1, largest), failing, nesting)
    return plan


def _fill(plan: Plan, source: random.Random, count: int, failing: float, nesting: int) -> None:
    for number in range(count):
        earlier = [step.name for step in plan.steps]
        after = source.sample(earlier, min(len(earlier), source.randint(0, 3)))
        if nesting and source.random() < 0.2:
            step = Step(f"n{number}", after)
            finish_others = source.random() < 0.7 if plan.finish_others else source.random() < 0.3
            prefix = f"{plan.prefix}{step.name}-0-"
            step.inner = Plan([], plan.outcomes, plan.hits, finish_others, prefix=prefix)
            _fill(step.inner, source, source.randint(0, 4), failing, nesting - 1)
            plan.steps.append(step)
        else:
            plan.steps.append(_random_task(plan, source, f"n{number}", after, failing))


def _random_task(plan: Plan, source: random.Random, name: str, after: list[str], failing: float) -> Step:
    step = Step(
        name=name,
        after=after,
        size=source.choice((None, None, 0, 1, 7)),
        retries=source.randint(0, 2),
        cached=source.random() < 0.3,
        parallelism=source.choice((0, 1, 3)),
        ratio=source.choice((1.0, 0.7, 0.5)),
    )
    for index in range(1 if step.size is None else step.size):
        if source.random() < 0.2:
            plan.hits.add((plan.prefix + name, index))
        for attempt in range(8):
            if source.random() < failing:
                kind = source.choice((RECOVERABLE, RECOVERABLE, SYSTEM, FATAL))
                plan.outcomes[plan.prefix + name, index, attempt] = kind
    return step


def item_succeeds(plan: Plan, step: Step, index: int) -> bool:
    """Go through an item's attempts by Flyte's two budgets."""
    name = plan.prefix + step.name
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


def node_succeeds(plan: Plan, step: Step, good: set[str]) -> bool:
    """Judge a node that is reached; add what succeeds below it to `good`."""
    if step.inner is not None:
        below, whole = succeeding_nodes(step.inner)
        good |= below
        return whole
    if step.size is None:
        return item_succeeds(plan, step, 0)
    succeeded = sum(item_succeeds(plan, step, index) for index in range(step.size))
    return succeeded >= math.ceil(round(step.ratio * step.size, 6))


def succeeding_nodes(plan: Plan) -> tuple[set[str], bool]:
    """Return the nodes that succeed when everything that can run does, and whether the workflow succeeds."""
    good: set[str] = set()
    whole = True
    for step in plan.steps:
        reached = all(plan.prefix + above in good for above in step.after)
        if reached and node_succeeds(plan, step, good):
            good.add(plan.prefix + step.name)
        else:
            whole = False
    return good, whole
