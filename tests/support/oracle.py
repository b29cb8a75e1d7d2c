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

    from flyteform.proto.flyteform.v1.link_pb2 import Lease


@dataclass
class Step:
    """A node of a plan: `size` None for a plain task."""

    name: str
    after: list[str]
    size: int | None
    retries: int
    cached: bool
    parallelism: int
    ratio: float


@dataclass
class Plan:
    """A workflow and all that will happen in it."""

    steps: list[Step] = field(default_factory=list)
    outcomes: dict[tuple[str, int, int], str] = field(default_factory=dict)
    hits: set[tuple[str, int]] = field(default_factory=set)
    finish_others: bool = False
    max_parallelism: int = 0

    def lease(self) -> Lease:
        """Build the execution."""
        flow = Flow(finish_others=self.finish_others)
        for step in self.steps:
            if step.size is None:
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
        lease = flow.lease()
        lease.spec.max_parallelism = self.max_parallelism
        return lease

    def script(self) -> Script:
        """Return the same for the simulated world."""
        sizes = {step.name: step.size for step in self.steps if step.size is not None}
        return Script(outcomes=self.outcomes, sizes=sizes, hits=frozenset(self.hits))


def random_plan(source: random.Random, *, largest: int = 12, failing: float = 0.15) -> Plan:
    """Make a workflow of chains, fans and maps, in which some attempts fail."""
    plan = Plan(finish_others=source.random() < 0.5, max_parallelism=source.choice((0, 1, 3)))
    for number in range(source.randint(1, largest)):
        earlier = [step.name for step in plan.steps]
        step = Step(
            name=f"n{number}",
            after=source.sample(earlier, min(len(earlier), source.randint(0, 3))),
            size=source.choice((None, None, 0, 1, 7)),
            retries=source.randint(0, 2),
            cached=source.random() < 0.3,
            parallelism=source.choice((0, 1, 3)),
            ratio=source.choice((1.0, 0.7, 0.5)),
        )
        plan.steps.append(step)
        for index in range(1 if step.size is None else step.size):
            if source.random() < 0.2:
                plan.hits.add((step.name, index))
            for attempt in range(8):
                if source.random() < failing:
                    kind = source.choice((RECOVERABLE, RECOVERABLE, SYSTEM, FATAL))
                    plan.outcomes[step.name, index, attempt] = kind
    return plan


def item_succeeds(plan: Plan, step: Step, index: int) -> bool:
    """Go through an item's attempts by Flyte's two budgets."""
    if step.cached and (step.name, index) in plan.hits:
        return True
    users = systems = 0
    while True:
        outcome = plan.outcomes.get((step.name, index, users + systems), OK)
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


def node_succeeds(plan: Plan, step: Step) -> bool:
    """Judge a node that is reached."""
    if step.size is None:
        return item_succeeds(plan, step, 0)
    good = sum(item_succeeds(plan, step, index) for index in range(step.size))
    return good >= math.ceil(round(step.ratio * step.size, 6))


def succeeding_nodes(plan: Plan) -> tuple[set[str], bool]:
    """Return the nodes that succeed when everything that can run does, and whether the execution succeeds."""
    good: set[str] = set()
    for step in plan.steps:
        if all(above in good for above in step.after) and node_succeeds(plan, step):
            good.add(step.name)
    return good, len(good) == len(plan.steps)
