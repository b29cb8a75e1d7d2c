"""The engine in a world that loses, repeats and delays observations and crashes after any write."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from flyteform_dataplane.engine.phases import NodePhase, WorkflowPhase
from support.oracle import random_plan, succeeding_nodes
from support.simulation import Faults, Simulation

if TYPE_CHECKING:
    from flyteform_dataplane.engine.state import State
    from support.oracle import Plan

RUNS_PER_CHUNK = 40
FAULTS = Faults(lose=0.05, repeat=0.1, crash=0.08)


def judge(plan: Plan, state: State) -> None:
    """Compare an end with what the naive interpreter says."""
    good, whole = succeeding_nodes(plan)
    assert state.phase is (WorkflowPhase.SUCCEEDED if whole else WorkflowPhase.FAILED)
    succeeded = {name for name, _ in plan.all_steps() if _phase(state, name) is NodePhase.SUCCEEDED}
    if whole or plan.all_finish():
        assert succeeded == good
    else:
        assert succeeded <= good
    if not whole and plan.failure is not None:
        assert (plan.failure.name in succeeded) == (plan.failure.name in good), "the failure node"
    assert state.active == 0


def _phase(state: State, node: str) -> NodePhase:
    return state.nodes[node].phase if node in state.nodes else NodePhase.NOT_STARTED


@pytest.mark.parametrize("chunk", range(10))
def test_random_workflows_end_as_without_faults(chunk: int) -> None:
    """Whatever is lost, repeated, late or crashed: every execution ends, as the oracle says, with legal events."""
    for seed in range(chunk * RUNS_PER_CHUNK, (chunk + 1) * RUNS_PER_CHUNK):
        source = random.Random(seed)  # noqa: S311 - a seed must give the same run again
        plan = random_plan(source)
        simulation = Simulation(plan.lease(), plan.script(), source, FAULTS)
        try:
            judge(plan, simulation.run())
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error


def test_faults_do_happen() -> None:
    """The runs above are worth something: every kind of fault and command occurs in them."""
    counted: dict[str, int] = {}
    for seed in range(60):
        source = random.Random(seed)  # noqa: S311 - a seed must give the same run again
        plan = random_plan(source)
        simulation = Simulation(plan.lease(), plan.script(), source, FAULTS)
        simulation.run()
        for what, times in simulation.counted.items():
            counted[what] = counted.get(what, 0) + times
    expected = {"lost", "repeated", "crash", "StartAttempt", "StopAttempt", "LookUpCache", "StoreInCache"}
    assert expected | {"MeasureArray", "EnterWorkflow", "DecideBranch", "CollectOutputs"} <= set(counted)


@pytest.mark.parametrize("seed", range(60))
def test_abort_at_any_moment(seed: int) -> None:
    """An abort ends the execution as ABORTED, unless it had ended before, and nothing is left running."""
    source = random.Random(seed)  # noqa: S311 - a seed must give the same run again
    plan = random_plan(source)
    script = plan.script()
    script.abort_at = source.random() * 60
    simulation = Simulation(plan.lease(), script, source, FAULTS)
    state = simulation.run()
    assert state.active == 0
    if state.phase is not WorkflowPhase.ABORTED:
        judge(plan, state)


def test_failure_nodes_do_run() -> None:
    """The runs above are worth something: failure nodes succeed and fail in them, at the top and below."""
    seen = set()
    for seed in range(400):
        source = random.Random(seed)  # noqa: S311 - a seed must give the same run again
        plan = random_plan(source)
        state = Simulation(plan.lease(), plan.script(), source).run()
        seen |= {(name.count("-"), node.phase) for name, node in state.nodes.items() if name.endswith("fn")}
    assert {(0, NodePhase.SUCCEEDED), (0, NodePhase.FAILED), (2, NodePhase.SUCCEEDED), (2, NodePhase.FAILED)} <= seen


def test_without_faults_each_attempt_runs_once() -> None:
    """In a fault-free world no attempt is started twice."""
    for seed in range(100):
        source = random.Random(seed)  # noqa: S311 - a seed must give the same run again
        plan = random_plan(source)
        simulation = Simulation(plan.lease(), plan.script(), source)
        judge(plan, simulation.run())
        assert set(simulation.runs.values()) <= {1}
