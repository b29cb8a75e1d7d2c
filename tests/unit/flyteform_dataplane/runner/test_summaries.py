"""The summary that people see is always that of the state, however it got there."""

from __future__ import annotations

from collections import Counter

from flyteform_dataplane.engine.changes import NodeChanged, WorkflowChanged
from flyteform_dataplane.engine.failures import Failure
from flyteform_dataplane.engine.indexing import index_closure
from flyteform_dataplane.engine.phases import NodePhase, WorkflowPhase
from flyteform_dataplane.engine.state import State, apply
from flyteform_dataplane.runner.summaries import Tally
from support.closures import Flow


def test_counts_follow_the_changes() -> None:
    """Each change moves one node; the frame is not counted; a tally made later counts the same."""
    graph = index_closure(Flow().task("a", outputs=()).task("b", after=["a"], outputs=()).build())
    state = State()
    tally = Tally(state)
    steps = [
        [
            WorkflowChanged(WorkflowPhase.RUNNING, 1.0),
            NodeChanged("start-node", NodePhase.NOT_STARTED, NodePhase.SUCCEEDED, 1.0),
            NodeChanged("a", NodePhase.NOT_STARTED, NodePhase.QUEUED, 1.0),
        ],
        [NodeChanged("a", NodePhase.QUEUED, NodePhase.RUNNING, 2.0)],
        [
            NodeChanged("a", NodePhase.RUNNING, NodePhase.SUCCEEDED, 3.0),
            NodeChanged("b", NodePhase.NOT_STARTED, NodePhase.QUEUED, 3.0),
        ],
        [
            NodeChanged("b", NodePhase.QUEUED, NodePhase.FAILED, 4.0),
            WorkflowChanged(WorkflowPhase.FAILED, 5.0, Failure("Bad", "too bad")),
        ],
    ]
    seen = []
    for step in steps:
        for change in step:
            apply(graph, state, change)
        seen.append(tally.take(step))
    assert [(one.phase, one.running, one.succeeded, one.failed, one.other) for one in seen] == [
        ("Running", 1, 0, 0, 0),
        ("Running", 1, 0, 0, 0),
        ("Running", 1, 1, 0, 0),
        ("Failed", 0, 1, 1, 0),
    ]
    assert (seen[-1].started_at, seen[-1].stopped_at, seen[-1].message) == (1.0, 5.0, "too bad")
    again = Tally(state).take([])
    assert Counter([again.running, again.succeeded, again.failed]) == Counter([0, 1, 1])
