"""Random executions in a faulty world, each made from its seed alone, and their judgement by the oracle."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from flyteform_dataplane.engine.graph import Deadlines
from flyteform_dataplane.engine.phases import NodePhase, WorkflowPhase
from support.oracle import GOOD, Limits, goes, succeeding_nodes
from support.policies import Policies
from support.punctuality import Punctuality
from support.random_plans import far_limits, near_limits, random_plan
from support.simulation import Faults, Simulation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteform_dataplane.engine.state import State
    from support.oracle import Plan, Step

CALM, USUAL, ROUGH = Faults(), Faults(lose=0.05, repeat=0.1, crash=0.08), Faults(lose=0.2, repeat=0.3, crash=0.25)
# What the faults are counted as.
FAULTS = ("lost", "repeated", "crash")
# The part of the workflows that is large: at least so many nodes, and so many workflows or branches in each other.
LARGE, LARGE_NODES, LARGE_NESTING = 0.4, 20, 3
_ABORTED = 0.12
# How many worlds have no deadlines, such that only what never ends meets, and such that anything may meet.
_WORLDS = (5, 3, 2)
_GOOD = (NodePhase.SUCCEEDED, NodePhase.RECOVERED)


class ViolationError(AssertionError):
    """An execution that did not go as it must; its message names the seed."""


def prove(seed: int) -> Simulation:
    """Run the execution that the seed stands for and judge it; `ViolationError` if anything is wrong with it."""
    source = random.Random(seed)  # noqa: S311 - a seed must give the same run again
    plan = make_plan(source)
    script = plan.script()
    script.abort_at = source.random() * 60 if source.random() < _ABORTED else None
    # What is late by a fault cannot be told from what is late by a mistake.
    faults = source.choices((CALM, USUAL, ROUGH), (4, 4, 1) if plan.limits.near else (1, 6, 1))[0]
    limits = plan.limits
    deadlines = Deadlines(limits.attempt, limits.node, limits.workflow, limits.queue)
    simulation = Simulation(plan.lease(), script, source, faults, [Policies(plan)], deadlines)
    simulation.logbooks.append(Punctuality(simulation, limits))
    try:
        state = simulation.run()
        assert state.active == 0
        aborted = state.phase is WorkflowPhase.ABORTED and script.abort_at is not None
        if not aborted and not limits.near:
            judge(plan, state)
        if limits.far and limits.node:
            assert "execution given up" not in simulation.counted, "a node's deadline comes before the execution's"
        if faults is CALM:
            assert set(simulation.runs.values()) <= {1}, "an attempt ran twice"
    except Exception as error:
        raise ViolationError(f"seed {seed}: {error!r}") from error
    return simulation


def make_plan(source: random.Random) -> Plan:
    """Make a workflow: of any size, or a large one."""
    large = source.random() < LARGE
    limits = source.choices((_no_limits, far_limits, near_limits), _WORLDS)[0]
    while True:
        plan = random_plan(source, largest=20 if large else 12, limits=limits(source))
        if not large or (sum(1 for _ in plan.all_steps()) >= LARGE_NODES and nesting(plan.steps) >= LARGE_NESTING):
            return plan


def _no_limits(_: random.Random) -> Limits:
    return Limits()


def nesting(steps: Iterable[Step]) -> int:
    """Return how many workflows or branches are in each other at the deepest place."""
    below = [[*plan.steps] for step in steps for plan in step.below]
    below += [step.cases for step in steps if step.cases]
    return max((nesting(inside) + 1 for inside in below), default=0)


def judge(plan: Plan, state: State) -> None:
    """Compare an end with what the naive interpreter says."""
    good, whole = succeeding_nodes(plan)
    assert state.phase is (WorkflowPhase.SUCCEEDED if whole else WorkflowPhase.FAILED)
    succeeded = {name for name, _ in plan.all_steps() if _phase(state, name) in _GOOD}
    if plan.all_finish() or (whole and _given_up_in_peace(plan)):
        assert succeeded == good
    else:
        assert succeeded <= good
    if not whole and plan.failure is not None:
        assert (plan.failure.name in succeeded) == (plan.failure.name in good), "the failure node"
    assert state.active == 0


def _given_up_in_peace(plan: Plan) -> bool:
    """Whether what attempts of dynamic tasks made in vain ran as far as it could, so that it is known how far."""
    made = (below for _, step in plan.all_steps() for below in step.made.values())
    return all(below.all_finish() for below in made if goes(below) != GOOD)


def _phase(state: State, node: str) -> NodePhase:
    return state.nodes[node].phase if node in state.nodes else NodePhase.NOT_STARTED
