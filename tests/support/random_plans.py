"""Random workflows of every node kind, with all that will happen in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.oracle import Limits, Plan, Step, attempt_limit, item_goes, unique
from support.simulation import FATAL, HANG, PENDING, RECOVERABLE, SYSTEM

if TYPE_CHECKING:
    import random

# Deadlines far beyond all that happens in a world of faults, each far beyond all that those below it can add up to.
_ATTEMPT, _QUEUE, _MADE, _NODE, _WORKFLOW = 2e4, 3e4, 1e7, 1e12, 1e13
_DEEPER = 100.0


def random_plan(
    source: random.Random,
    *,
    largest: int = 12,
    failing: float = 0.15,
    nesting: int = 3,
    limits: Limits | None = None,
) -> Plan:
    """Make a workflow of chains, fans, maps, branches, sub-workflows and failure nodes, in which some attempts fail."""
    finish_others, most = source.random() < 0.5, source.choice((0, 1, 3))
    limits = limits or Limits()
    if most and limits.far:
        # Who is stuck would keep its place from those that wait, and which these are nobody can foretell.
        limits.queue, limits.sticks = 0.0, False
    plan = Plan(finish_others=finish_others, max_parallelism=most, limits=limits)
    _fill(plan, source, source.randint(1, largest), failing, nesting)
    if source.random() < 0.2:  # it recovers another execution
        names = [name for name, _ in plan.all_steps()]
        plan.former.update(name for name in names if source.random() < 0.3)
        plan.gone.update(name for name in plan.former if source.random() < 0.1)
    return plan


def far_limits(source: random.Random) -> Limits:
    """Make deadlines that only what never ends can meet."""
    return Limits(
        attempt=source.choice((0.0, _ATTEMPT)),
        node=source.choice((0.0, _NODE)),
        workflow=_WORKFLOW,
        queue=source.choice((0.0, _QUEUE)),
        far=True,
        sticks=True,
    )


def near_limits(source: random.Random) -> Limits:
    """Make deadlines that anything may meet, by chance."""
    return Limits(
        attempt=source.choice((0.0, source.uniform(5, 12))),
        node=source.choice((0.0, source.uniform(5, 60))),
        workflow=source.choice((0.0, source.uniform(10, 120))),
        queue=source.choice((0.0, source.uniform(1, 6))),
        near=True,
    )


def _fill(plan: Plan, source: random.Random, count: int, failing: float, nesting: int) -> None:
    for number in range(count):
        earlier = [step.name for step in plan.steps]
        step = _random_step(
            plan, source, (unique(plan.parent, f"n{number}", plan.attempt), f"n{number}"), failing, nesting
        )
        step.after = source.sample(earlier, min(len(earlier), source.randint(0, 3)))
        plan.steps.append(step)
    if source.random() < 0.3:
        sticks = plan.limits.sticks
        # Nothing but the deadline of nodes ends the failure node of an execution whose own deadline has passed.
        plan.limits.sticks = sticks and (bool(plan.parent) or plan.limits.node > 0)
        plan.failure = _random_step(plan, source, (unique(plan.parent, "fn", plan.attempt), "fn"), failing, nesting)
        plan.limits.sticks = sticks


def _random_step(plan: Plan, source: random.Random, place: tuple[str, str], failing: float, nesting: int) -> Step:
    kind, own, name = source.random() if nesting else 1.0, *place
    if kind < 0.15:
        inner = plan.within(own, finish_others=_patience(plan, source))
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
        if plan.limits.far and (plan.limits.attempt or source.random() < 0.5):
            step.timeout = _MADE * _DEEPER ** (nesting - 1)
        _unfold(plan, source, step, own, failing, nesting)
    return step


def _patience(plan: Plan, source: random.Random) -> bool:
    return source.random() < (0.7 if plan.finish_others else 0.3)


def _unfold(plan: Plan, source: random.Random, step: Step, own: str, failing: float, nesting: int) -> None:
    """Decide what a dynamic task makes at each of its attempts, as far as there are such."""

    def make(attempt: int) -> Plan:
        made = step.made[attempt] = plan.within(own, finish_others=_patience(plan, source), attempt=attempt)
        _fill(made, source, source.randint(0, 4), failing, nesting - 1)
        made.failure = None  # futures have no place for one
        return made

    item_goes(plan, step, own, 0, make)


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
    if plan.limits.far and step.size is None:
        step.timeout = source.choice((0.0, _ATTEMPT))
    elif plan.limits.near and step.size is None:
        step.timeout = source.choice((0.0, source.uniform(3, 20)))
    for index in range(1 if step.size is None else step.size):
        if source.random() < 0.2:
            plan.hits.add((place[0], index))
        _random_outcomes(plan, source, step, (place[0], index), failing)
    return step


def _random_outcomes(plan: Plan, source: random.Random, step: Step, item: tuple[str, int], failing: float) -> None:
    limits = plan.limits
    hangs = limits.far and (limits.sticks or attempt_limit(plan, step) > 0)
    for attempt in range(8):
        if source.random() < failing:
            kind = source.choice((RECOVERABLE, RECOVERABLE, SYSTEM, FATAL))
            plan.outcomes[*item, attempt] = HANG if hangs and source.random() < 0.3 else kind
    works = step.size is None and step.work in ("task", "launch")
    if works and limits.far and limits.queue and source.random() < failing / 5:
        plan.outcomes[*item, 0] = PENDING
