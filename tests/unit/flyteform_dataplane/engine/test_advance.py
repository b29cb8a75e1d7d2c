"""The engine as data: observations in; changes, commands and events out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flyteform_dataplane.engine import advance, index_closure, pending
from flyteform_dataplane.engine.commands import (
    CollectOutputs,
    LookUpCache,
    MeasureArray,
    SetTimer,
    StartAttempt,
    StopAttempt,
    StoreInCache,
)
from flyteform_dataplane.engine.events import ArrayEvent, NodeEvent, TaskEvent, TaskPhase, WorkflowEvent
from flyteform_dataplane.engine.failures import Failure, FailureKind
from flyteform_dataplane.engine.observations import (
    AbortRequested,
    ArrayMeasured,
    AttemptFailed,
    AttemptRunning,
    AttemptStopped,
    AttemptSucceeded,
    CacheAnswered,
    CacheStored,
    NodeRefused,
    OutputsCollected,
    Started,
    TimerFired,
)
from flyteform_dataplane.engine.phases import CacheStatus, NodePhase, WorkflowPhase
from support.closures import Flow, integers
from support.engine import Engine

if TYPE_CHECKING:
    from flyteform_dataplane.engine.observations import Observation

BOOM = Failure("Boom", "it broke", recoverable=True)
FATAL = Failure("Fatal", "for good")
GONE = Failure("Gone", "away", FailureKind.SYSTEM, recoverable=True)


def test_chain_starts_one_after_the_other() -> None:
    """A node starts in the very step in which the one before it succeeds, and the end node collects the outputs."""
    engine = Engine(Flow().task("a").task("b", after=["a"]))
    assert engine.see(Started(1)).commands == [StartAttempt("a", 0, 0)]
    assert engine.see(AttemptRunning("a", 0, 0, 2)).commands == []
    assert engine.see(AttemptSucceeded("a", 0, 0, 3)).commands == [StartAttempt("b", 0, 0)]
    assert engine.see(AttemptSucceeded("b", 0, 0, 4)).commands == [CollectOutputs("end-node")]
    step = engine.see(OutputsCollected("end-node", 5))
    assert step.events == [
        NodeEvent("end-node", NodePhase.SUCCEEDED, 5),
        WorkflowEvent(WorkflowPhase.SUCCEEDED, 5),
    ]


def test_events_of_a_task() -> None:
    """A task's events come in Flyte's order, the task's before the node's end."""
    engine = Engine(Flow().task("a"))
    assert engine.see(Started(1)).events == [
        WorkflowEvent(WorkflowPhase.RUNNING, 1),
        NodeEvent("start-node", NodePhase.SUCCEEDED, 1),
        NodeEvent("a", NodePhase.QUEUED, 1),
    ]
    assert engine.see(AttemptRunning("a", 0, 0, 2, "log")).events == [
        NodeEvent("a", NodePhase.RUNNING, 2),
        TaskEvent("a", 0, TaskPhase.RUNNING, 2, log_uri="log"),
    ]
    assert engine.see(AttemptSucceeded("a", 0, 0, 3)).events[:2] == [
        TaskEvent("a", 0, TaskPhase.SUCCEEDED, 3),
        NodeEvent("a", NodePhase.SUCCEEDED, 3),
    ]


@pytest.mark.parametrize(
    ("retries", "failures", "restarts", "code"),
    [
        (0, [BOOM], 0, "RetriesExhausted|Boom"),
        (2, [BOOM, BOOM, BOOM], 2, "RetriesExhausted|Boom"),
        (2, [BOOM, FATAL], 1, "Fatal"),
        (0, [GONE, GONE, GONE], 2, "RetriesExhausted|Gone"),
        (1, [GONE, BOOM, GONE, BOOM], 3, "RetriesExhausted|Boom"),
    ],
)
def test_budgets(retries: int, failures: list[Failure], restarts: int, code: str) -> None:
    """User and system failures are counted against budgets of their own; what is final is final at once."""
    engine = Engine(Flow().task("a", retries=retries))
    engine.see(Started(1))
    started = 0
    for attempt, failure in enumerate(failures):
        step = engine.see(AttemptFailed("a", 0, attempt, failure, 2))
        started += len(step.commands)
    assert started == restarts
    assert engine.state.phase is WorkflowPhase.FAILED
    assert engine.state.failure is not None
    assert engine.state.failure.code == code


def test_exhausted_text() -> None:
    """The message of an exhausted budget has Flyte's form."""
    engine = Engine(Flow().task("a", retries=1))
    engine.see(Started(1), AttemptFailed("a", 0, 0, BOOM, 2), AttemptFailed("a", 0, 1, BOOM, 3))
    assert engine.state.failure is not None
    assert engine.state.failure.message == "[2/2] currentAttempt done. Last Error: USER::it broke"


@pytest.mark.parametrize(
    "seen",
    [
        AttemptSucceeded("a", 0, 0, 9),
        AttemptFailed("a", 0, 0, BOOM, 9),
        AttemptRunning("a", 0, 1, 3),
        AttemptStopped("a", 0, 1, 9),
        AttemptSucceeded("a", 7, 1, 9),
        AttemptSucceeded("z", 0, 1, 9),
        CacheAnswered("a", 0, CacheStatus.HIT, 9),
        CacheStored("a", 0, CacheStatus.POPULATED, 9),
        ArrayMeasured("a", 4, 9),
        OutputsCollected("a", 9),
        NodeRefused("a", FATAL, 9),
        TimerFired("a", 0, 1, 9),
        Started(9),
    ],
    ids=lambda seen: type(seen).__name__,
)
def test_what_does_not_fit_is_ignored(seen: Observation) -> None:
    """Late, repeated and foreign observations change nothing."""
    engine = Engine(Flow().task("a", retries=3))
    engine.see(Started(1), AttemptFailed("a", 0, 0, BOOM, 2), AttemptRunning("a", 0, 1, 3))
    step = engine.see(seen)
    assert (step.changes, step.commands, step.events) == ([], [], [])


def test_fail_immediately_stops_the_siblings() -> None:
    """With FAIL_IMMEDIATELY a failure ends what runs; the execution fails when all of it is gone."""
    engine = Engine(Flow().task("a").task("b").task("c", after=["b"]))
    engine.see(Started(1), AttemptRunning("b", 0, 0, 2))
    step = engine.see(AttemptFailed("a", 0, 0, FATAL, 3))
    assert step.commands == [StopAttempt("b", 0, 0)]
    assert engine.state.phase is WorkflowPhase.FAILING
    step = engine.see(AttemptStopped("b", 0, 0, 4))
    assert engine.state.phase is WorkflowPhase.FAILED
    assert engine.phase("b") is NodePhase.ABORTED
    assert [type(event) for event in step.events] == [TaskEvent, NodeEvent, WorkflowEvent]
    assert step.events[-1] == WorkflowEvent(WorkflowPhase.FAILED, 4, FATAL)


def test_fail_after_executable_nodes() -> None:
    """With the other policy all that can run does, and then the execution fails with the first failure."""
    engine = Engine(Flow(finish_others=True).task("a").task("b").task("c", after=["b"]).task("d", after=["a"]))
    engine.see(Started(1))
    assert engine.see(AttemptFailed("a", 0, 0, FATAL, 2)).commands == []
    assert engine.see(AttemptSucceeded("b", 0, 0, 3)).commands == [StartAttempt("c", 0, 0)]
    engine.see(AttemptSucceeded("c", 0, 0, 4))
    assert engine.state.phase is WorkflowPhase.FAILED
    assert engine.state.failure == FATAL
    assert engine.phase("c") is NodePhase.SUCCEEDED
    assert engine.phase("d") is NodePhase.NOT_STARTED


def test_cache_miss_then_populated() -> None:
    """The cache is asked before the node queues, and fed after the attempt before the node succeeds."""
    engine = Engine(Flow().task("a", cached=True))
    step = engine.see(Started(1))
    assert step.commands == [LookUpCache("a", 0)]
    assert not [event for event in step.events if isinstance(event, NodeEvent) and event.node == "a"]
    step = engine.see(CacheAnswered("a", 0, CacheStatus.MISS, 2))
    assert step.commands == [StartAttempt("a", 0, 0)]
    assert step.events == [NodeEvent("a", NodePhase.QUEUED, 2, cache=CacheStatus.MISS)]
    assert engine.see(AttemptSucceeded("a", 0, 0, 3)).commands == [StoreInCache("a", 0, 0)]
    step = engine.see(CacheStored("a", 0, CacheStatus.POPULATED, 4, b"key"))
    assert step.events[0] == NodeEvent("a", NodePhase.SUCCEEDED, 4, cache=CacheStatus.POPULATED, key=b"key")


def test_cache_hit_goes_straight_to_succeeded() -> None:
    """A hit needs no queue, no slot and no attempt; its only event is the end."""
    engine = Engine(Flow().task("a", cached=True))
    engine.see(Started(1))
    step = engine.see(CacheAnswered("a", 0, CacheStatus.HIT, 2, b"key"))
    assert step.events[0] == NodeEvent("a", NodePhase.SUCCEEDED, 2, cache=CacheStatus.HIT, key=b"key")
    assert step.commands == [CollectOutputs("end-node")]


def test_overwritten_cache_is_not_asked() -> None:
    """With overwrite_cache the status is SKIPPED until the outputs are put."""
    engine = Engine(Flow().task("a", cached=True), overwrite_cache=True)
    step = engine.see(Started(1))
    assert step.commands == [StartAttempt("a", 0, 0)]
    assert step.events[-1] == NodeEvent("a", NodePhase.QUEUED, 1, cache=CacheStatus.SKIPPED)
    assert engine.see(AttemptSucceeded("a", 0, 0, 3)).commands == [StoreInCache("a", 0, 0)]


def test_task_without_outputs_is_not_cached() -> None:
    """There is nothing that a cache could give back."""
    engine = Engine(Flow().task("a", cached=True, outputs=()))
    assert engine.see(Started(1)).commands == [StartAttempt("a", 0, 0)]


def test_max_parallelism() -> None:
    """Only so many nodes run at once, in the order in which they became ready."""
    engine = Engine(Flow().task("a").task("b").task("c"), max_parallelism=2)
    step = engine.see(Started(1))
    assert step.commands == [StartAttempt("a", 0, 0), StartAttempt("b", 0, 0)]
    assert engine.phase("c") is NodePhase.QUEUED
    assert engine.see(AttemptSucceeded("b", 0, 0, 2)).commands == [StartAttempt("c", 0, 0)]


def test_array_parallelism_and_end() -> None:
    """A map with parallelism 2 keeps two items going and collects its outputs when all have ended."""
    engine = Engine(Flow().map("a", {"x": integers()}, parallelism=2))
    assert engine.see(Started(1)).commands == [MeasureArray("a")]
    step = engine.see(ArrayMeasured("a", 3, 2))
    assert step.commands == [StartAttempt("a", 0, 0), StartAttempt("a", 1, 0)]
    assert engine.see(AttemptSucceeded("a", 1, 0, 3)).commands == [StartAttempt("a", 2, 0)]
    engine.see(AttemptSucceeded("a", 0, 0, 4))
    assert engine.see(AttemptSucceeded("a", 2, 0, 5)).commands == [CollectOutputs("a")]
    step = engine.see(OutputsCollected("a", 6))
    assert step.events[:2] == [ArrayEvent("a", TaskPhase.SUCCEEDED, 6), NodeEvent("a", NodePhase.SUCCEEDED, 6)]


def test_array_progress_is_one_event_per_step() -> None:
    """All items that move in one step are one event of the array's one task execution."""
    engine = Engine(Flow().map("a", {"x": integers()}))
    engine.see(Started(1), ArrayMeasured("a", 3, 2))
    step = engine.see(*(AttemptRunning("a", index, 0, 3) for index in range(3)))
    assert len(step.events) == 1
    event = step.events[0]
    assert isinstance(event, ArrayEvent)
    assert [item.index for item in event.items] == [0, 1, 2]


@pytest.mark.parametrize(
    ("size", "minimum", "ratio", "failing", "end"),
    [
        (4, None, None, 1, NodePhase.FAILING),
        (4, 3, None, 1, NodePhase.RUNNING),
        (4, None, 0.75, 1, NodePhase.RUNNING),
        (4, None, 0.75, 2, NodePhase.FAILING),
        (3, None, 0.5, 1, NodePhase.RUNNING),
        (3, None, 0.5, 2, NodePhase.FAILING),
        (3, 9, None, 0, NodePhase.RUNNING),
    ],
)
def test_array_success_criteria(
    size: int, minimum: int | None, ratio: float | None, failing: int, end: NodePhase
) -> None:
    """A map fails as soon as too many items have failed: by count, or by ratio rounded up."""
    engine = Engine(Flow().map("a", {"x": integers()}, min_successes=minimum, min_ratio=ratio).task("other"))
    engine.see(Started(1), ArrayMeasured("a", size, 2))
    for index in range(failing):
        engine.see(AttemptFailed("a", index, 0, FATAL, 3))
    expected = NodePhase.ABORTING if end is NodePhase.FAILING and engine.state.phase.stopping else end
    assert engine.phase("a") is expected


def test_failing_array_stops_the_rest_and_sums_up() -> None:
    """Too many failures stop the items that run; the node's error names the failed indexes."""
    engine = Engine(Flow().map("a", {"x": integers()}, parallelism=2))
    engine.see(Started(1), ArrayMeasured("a", 5, 2))
    step = engine.see(AttemptFailed("a", 1, 0, FATAL, 3))
    assert step.commands == [StopAttempt("a", 0, 0)]
    engine.see(AttemptStopped("a", 0, 0, 4))
    assert engine.state.phase is WorkflowPhase.FAILED
    assert engine.state.failure is not None
    assert (engine.state.failure.code, engine.state.failure.message) == ("Fatal", "[1]: for good")


def test_cached_array_items() -> None:
    """Each item of a map asks the cache by itself, and only those that miss run and are put."""
    engine = Engine(Flow().map("a", {"x": integers()}, cached=True))
    step = engine.see(Started(1), ArrayMeasured("a", 2, 2))
    assert step.commands == [MeasureArray("a"), LookUpCache("a", 0), LookUpCache("a", 1)]
    assert engine.see(CacheAnswered("a", 0, CacheStatus.HIT, 3)).commands == []
    assert engine.see(CacheAnswered("a", 1, CacheStatus.MISS, 3)).commands == [StartAttempt("a", 1, 0)]
    assert engine.see(AttemptSucceeded("a", 1, 0, 4)).commands == [StoreInCache("a", 1, 0)]
    assert engine.see(CacheStored("a", 1, CacheStatus.PUT_FAILURE, 5)).commands == [CollectOutputs("a")]


def test_timeout() -> None:
    """A timer runs from when the attempt was seen to run; its end stops the attempt, which may be tried again."""
    engine = Engine(Flow().task("a", timeout=60, retries=1))
    engine.see(Started(1))
    assert engine.see(AttemptRunning("a", 0, 0, 10)).commands == [SetTimer("a", 0, 0, 70)]
    assert engine.see(TimerFired("a", 0, 0, 69)).commands == []
    assert engine.see(TimerFired("a", 0, 0, 70)).commands == [StopAttempt("a", 0, 0)]
    assert engine.see(AttemptStopped("a", 0, 0, 71)).commands == [StartAttempt("a", 0, 1)]
    engine.see(AttemptRunning("a", 0, 1, 80), TimerFired("a", 0, 0, 90), TimerFired("a", 0, 1, 140))
    assert engine.see(AttemptStopped("a", 0, 0, 141)).changes == []
    engine.see(AttemptStopped("a", 0, 1, 141))
    assert engine.state.failure is not None
    assert engine.state.failure.code == "RetriesExhausted|TimeoutExpired"


def test_restarted_attempt_gets_its_whole_time() -> None:
    """After a crash the same attempt runs anew: its first timer does not end it."""
    engine = Engine(Flow().task("a", timeout=60))
    engine.see(Started(1), AttemptRunning("a", 0, 0, 10))
    assert pending(engine.graph, engine.state) == [StartAttempt("a", 0, 0), SetTimer("a", 0, 0, 70)]
    assert engine.see(AttemptRunning("a", 0, 0, 65)).commands == [SetTimer("a", 0, 0, 125)]
    assert engine.see(TimerFired("a", 0, 0, 70)).changes == []


def test_success_wins_against_its_own_timeout() -> None:
    """An attempt whose outputs are there when it is stopped for its time has succeeded."""
    engine = Engine(Flow().task("a", timeout=60))
    engine.see(Started(1), AttemptRunning("a", 0, 0, 10), TimerFired("a", 0, 0, 70))
    engine.see(AttemptSucceeded("a", 0, 0, 71))
    assert engine.phase("a") is NodePhase.SUCCEEDED


@pytest.mark.parametrize(
    ("seen", "waits"),
    [
        ([], False),
        ([Started(1)], True),
        ([Started(1), AttemptSucceeded("a", 0, 0, 2)], False),
        ([Started(1), AttemptSucceeded("a", 0, 0, 2), CacheAnswered("b", 0, CacheStatus.MISS, 3)], True),
    ],
)
def test_abort(seen: list[Observation], waits: bool) -> None:
    """At any moment an abort ends what runs and then the execution, with its cause on all that had begun."""
    engine = Engine(Flow().task("a").task("b", after=["a"], cached=True))
    engine.see(*seen)
    step = engine.see(AbortRequested(9, "enough"))
    stops = [command for command in step.commands if isinstance(command, StopAttempt)]
    assert len(step.commands) == len(stops) == int(waits)
    if waits:
        assert engine.state.phase is WorkflowPhase.ABORTING
        step = engine.see(AttemptStopped(stops[0].node, 0, 0, 10))
    assert engine.state.phase is WorkflowPhase.ABORTED
    last = step.events[-1]
    assert isinstance(last, WorkflowEvent)
    assert last.failure == Failure("ExecutionAborted", "enough")


def test_refused_inputs_fail_the_node() -> None:
    """Inputs that can't be resolved fail a map before it has any task execution."""
    engine = Engine(Flow().map("a", {"x": integers()}))
    engine.see(Started(1))
    step = engine.see(NodeRefused("a", FATAL, 2))
    assert [type(event) for event in step.events] == [NodeEvent, WorkflowEvent, WorkflowEvent]
    assert engine.state.phase is WorkflowPhase.FAILED


def test_unsupported_node_fails_at_the_start() -> None:
    """A kind of node that the engine does not know fails the execution at once with one error that names both."""
    flow = Flow().task("a")
    array = flow.closure.primary.template.nodes.add(id="all")
    array.array_node.node.workflow_node.sub_workflow_ref.name = "sub"
    engine = Engine(flow)
    step = engine.see(Started(1))
    assert step.commands == []
    assert engine.state.failure is not None
    message = engine.state.failure.message
    assert message == "node all is a map over a workflow node, which this data plane cannot run yet"
    assert [event.phase for event in step.events if isinstance(event, WorkflowEvent)] == [
        WorkflowPhase.RUNNING,
        WorkflowPhase.FAILING,
        WorkflowPhase.FAILED,
    ]


def test_broken_graph_does_not_hang() -> None:
    """A graph whose end cannot be reached fails with a sentence instead of waiting for ever."""
    flow = Flow().task("a").task("b", after=["c"]).task("c", after=["b"]).task("d", after=["c"])
    engine = Engine(flow)
    engine.see(Started(1))
    engine.see(AttemptSucceeded("a", 0, 0, 2))
    assert engine.state.failure is not None
    assert engine.state.failure.code == "InvalidWorkflow"


def test_overrides_of_a_node() -> None:
    """A node's image, resources and cache settings win over its task's."""
    flow = Flow().task("a")
    template = flow.closure.tasks[0].template
    template.container.resources.requests.add(name=1, value="1")
    template.container.resources.requests.add(name=3, value="1Gi")
    node = flow.closure.primary.template.nodes[2]
    node.task_node.overrides.container_image = "other"
    node.task_node.overrides.resources.requests.add(name=1, value="4")
    node.metadata.cacheable = True
    node.metadata.cache_version = "7"
    record = index_closure(flow.build()).nodes["a"]
    assert record.task is not None
    assert record.cacheable
    assert record.task.container.image == "other"
    assert record.task.metadata.discovery_version == "7"
    assert [(entry.name, entry.value) for entry in record.task.container.resources.requests] == [(1, "4"), (3, "1Gi")]


def test_work_is_linear() -> None:
    """Ten times the nodes cost ten times the changes, and the last of a fan is as cheap as the first."""
    sizes = {}
    for nodes in (100, 1000):
        flow = Flow()
        for number in range(nodes):
            flow.task(f"n{number}")
        engine = Engine(flow)
        advance(engine.graph, engine.state, [Started(1)])
        steps = [advance(engine.graph, engine.state, [AttemptSucceeded(f"n{n}", 0, 0, 2)]) for n in range(nodes)]
        sizes[nodes] = sum(len(step.changes) for step in steps)
    assert sizes[1000] <= sizes[100] * 10
