"""The engine in a world that loses, repeats and delays observations and crashes after any write."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from flyteform_dataplane.engine.phases import NodePhase
from support.proof import FAULTS, LARGE_NESTING, LARGE_NODES, make_plan, nesting, prove
from support.random_plans import random_plan
from support.simulation import Simulation

RUNS_PER_CHUNK = 40


@pytest.mark.parametrize("chunk", range(10))
def test_random_workflows_end_as_without_faults(chunk: int) -> None:
    """Whatever is lost, repeated, late, crashed or aborted: all ends as the oracle says, with legal events."""
    for seed in range(chunk * RUNS_PER_CHUNK, (chunk + 1) * RUNS_PER_CHUNK):
        prove(seed)


def test_everything_does_happen() -> None:
    """The runs above are worth something: every kind of fault, command, node and end occurs in them."""
    counted: Counter[str] = Counter()
    for seed in range(400):
        counted.update(prove(seed).counted)
    commands = {"StartAttempt", "StopAttempt", "LookUpCache", "StoreInCache", "MeasureArray", "EnterWorkflow"}
    ends = {f"execution -> {end}" for end in ("SUCCEEDED", "FAILED", "ABORTED")}
    nodes = {f"{kind} RUNNING -> {end}" for kind in ("workflow", "branch") for end in ("FAILING", "ABORTING")}
    nodes |= {f"{kind} SUCCEEDING -> SUCCEEDED" for kind in ("array", "branch", "end")}
    nodes |= {f"task RUNNING -> {end}" for end in ("SUCCEEDED", "FAILED", "ABORTING")} | {"task NOT_STARTED -> SKIPPED"}
    nodes |= {f"task DYNAMIC_RUNNING -> {end}" for end in ("SUCCEEDING", "FAILING", "ABORTING")}
    nodes |= {f"{kind} RUNNING -> {end}" for kind in ("gate", "launch plan") for end in ("SUCCEEDED", "FAILED")}
    nodes |= {f"{kind} RECOVERING -> RECOVERED" for kind in ("task", "array", "gate")} | {"gate RUNNING -> ABORTING"}
    items = {f"item RUNNING -> {after}" for after in ("QUEUED", "STORING", "STOPPING", "SUCCEEDED", "FAILED")}
    nodes |= {f"task {phase} -> TIMING_OUT" for phase in ("STARTING", "RUNNING")}
    nodes |= {"workflow TIMING_OUT -> TIMED_OUT", "array RUNNING -> TIMING_OUT", "execution given up"}
    nodes |= {"task DYNAMIC_RUNNING -> RETRYING", "task RETRYING -> REQUEUED", "task REQUEUED -> STARTING"}
    items |= {"item RUNNING -> TIMING_OUT", "item TIMING_OUT -> QUEUED", "item TIMING_OUT -> FAILED", "SetTimer"}
    missing = {*FAULTS, *commands, "DecideBranch", "CollectOutputs", *ends, *nodes, *items} - set(counted)
    assert not missing
    assert any(what.endswith(" QUEUED -> TIMED_OUT") for what in counted)


def test_a_third_of_the_workflows_is_large() -> None:
    """At least a third has 20 nodes or more and three workflows or branches in each other."""
    plans = [make_plan(random.Random(seed)) for seed in range(300)]  # noqa: S311 - the same plans each time
    large = [
        plan
        for plan in plans
        if sum(1 for _ in plan.all_steps()) >= LARGE_NODES and nesting(plan.steps) >= LARGE_NESTING
    ]
    assert len(large) >= len(plans) / 3


def test_failure_nodes_do_run() -> None:
    """The runs above are worth something: failure nodes succeed and fail in them, at the top and below."""
    seen = set()
    for seed in range(400):
        source = random.Random(seed)  # noqa: S311 - a seed must give the same run again
        plan = random_plan(source)
        state = Simulation(plan.lease(), plan.script(), source).run()
        seen |= {(name.count("-"), node.phase) for name, node in state.nodes.items() if name.endswith("fn")}
    assert {(0, NodePhase.SUCCEEDED), (0, NodePhase.FAILED), (2, NodePhase.SUCCEEDED), (2, NodePhase.FAILED)} <= seen
