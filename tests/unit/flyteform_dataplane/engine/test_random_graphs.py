"""Random graphs with random failures, judged by a naive interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyteform_dataplane.engine.phases import NodePhase, WorkflowPhase
from support.oracle import succeeding_nodes
from support.random_plans import random_plan
from support.simulation import Simulation

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from flyteform_dataplane.engine.state import State
    from support.oracle import Plan


GOOD = (NodePhase.SUCCEEDED, NodePhase.RECOVERED)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.randoms(use_true_random=True))
def test_ends_are_those_of_the_oracle(source: random.Random) -> None:
    """Whatever the graph, the retries and the failures: the same nodes succeed as in the naive interpreter."""
    plan = random_plan(source, largest=20, failing=0.25)
    state = Simulation(plan.lease(), plan.script(), source).run()
    good, whole = succeeding_nodes(plan)
    assert state.phase is (WorkflowPhase.SUCCEEDED if whole else WorkflowPhase.FAILED)
    names = {name for name, _ in plan.all_steps()}
    succeeded = {name for name, node in state.nodes.items() if node.phase in GOOD and name in names}
    assert succeeded <= good
    if whole or plan.all_finish():
        # What a dynamic task made in an attempt that failed may have been stopped in the middle.
        vain = set() if plan.all_finish() else set(_made_in_vain(plan, state))
        assert succeeded - vain == good - vain


def _made_in_vain(plan: Plan, state: State) -> Iterator[str]:
    """Yield the nodes that dynamic tasks made in attempts that were not their last."""
    for name, step in plan.all_steps():
        node = state.nodes.get(name)
        for attempt, made in step.made.items():
            if node is None or node.items is None or attempt != node.items.attempt(0):
                yield from (below for below, _ in made.all_steps())
