"""The spans of an execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flyteidl.admin.execution_pb2 import WorkflowExecutionGetMetricsRequest
from flyteidl.core.execution_pb2 import NodeExecution, TaskExecution, WorkflowExecution
from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

from flyteform_controlplane.errors import MissingEntityError
from support.admin import DOMAIN, PROJECT, World
from support.run import START, Run

if TYPE_CHECKING:
    from flyteidl.core.metrics_pb2 import Span


def shape(span: Span) -> tuple[str, ...] | str:
    """Return what a span is of, with what is below it."""
    kind = span.WhichOneof("id")
    if kind == "operation_id":
        return span.operation_id
    return (kind.removesuffix("_id"), *(shape(one) for one in span.spans))  # type: ignore[return-value]


def seconds(span: Span) -> tuple[int, int]:
    """Return when the span began and ended, in seconds after the run's start."""
    zero = int(START.timestamp())
    return span.start_time.seconds - zero, span.end_time.seconds - zero


async def spans(run: Run, depth: int) -> Span:
    """Ask for the spans."""
    request = WorkflowExecutionGetMetricsRequest(id=run.name, depth=depth)
    found: Span = (await run.world.admin.GetExecutionMetrics(request, None)).span
    return found


@pytest.fixture
async def run(world: World) -> Run:
    """Give an execution with a node of two attempts that has succeeded."""
    name = await world.execute(await world.register_launch_plan("wf"), "run", x=1)
    run = Run(world, name, await world.register_task("other"))
    await run.send(
        run.execution(WorkflowExecution.RUNNING, 1),
        run.node(NodeExecution.QUEUED, "n0", 2),
        run.attempt(TaskExecution.QUEUED, 0, 3),
        run.attempt(TaskExecution.RUNNING, 0, 4),
        run.attempt(TaskExecution.RETRYABLE_FAILED, 0, 6),
        run.attempt(TaskExecution.QUEUED, 1, 7),
        run.attempt(TaskExecution.RUNNING, 1, 8),
        run.attempt(TaskExecution.SUCCEEDED, 1, 11),
        run.node(NodeExecution.RUNNING, "n0", 12),
        run.node(NodeExecution.SUCCEEDED, "n0", 13),
        run.execution(WorkflowExecution.SUCCEEDED, 14),
    )
    return run


async def test_spans_of_a_task_with_a_retry(run: Run) -> None:
    """Every second of a run belongs to one operation: setup, attempts with the reset between them, teardown."""
    span = await spans(run, 10)
    attempt = ("task", "TASK_SETUP", "TASK_RUNTIME", "TASK_TEARDOWN")
    node = ("node", "NODE_SETUP", attempt, "NODE_RESET", attempt, "NODE_TEARDOWN")
    assert shape(span) == ("workflow", "WORKFLOW_SETUP", node, "WORKFLOW_TEARDOWN")
    assert span.workflow_id == run.name
    found = span.spans[1]
    assert found.node_id == run.node_id()
    assert [seconds(one) for one in found.spans] == [(2, 3), (3, 6), (6, 7), (7, 11), (11, 13)]
    assert [seconds(one) for one in found.spans[3].spans] == [(7, 8), (8, 11), (11, 11)]
    assert found.spans[3].task_id == run.attempt_id(1)
    assert seconds(span.spans[2]) == (13, 14)


async def test_depth_cuts_the_tree(run: Run) -> None:
    """Depth 0 is the execution alone, each further one adds a level, and a negative one means all."""
    assert shape(await spans(run, 0)) == ("workflow",)
    assert shape(await spans(run, 1)) == ("workflow", "WORKFLOW_SETUP", ("node",), "WORKFLOW_TEARDOWN")
    assert await spans(run, -1) == await spans(run, 50)


async def test_spans_of_nested_nodes(run: Run, world: World) -> None:
    """A node's children and the execution that a node started are within its span."""
    name = await world.execute(await world.register_launch_plan("wf2"), "parent", x=1)
    parent = Run(world, name, run.task)
    child = parent.node(NodeExecution.RUNNING, "n0-1", 3)
    child.parent_node_metadata.node_id = "n0"
    launcher = parent.node(NodeExecution.RUNNING, "n1", 5)
    launcher.workflow_node_metadata.execution_id.CopyFrom(run.name)
    gone = parent.node(NodeExecution.RUNNING, "n2", 6)
    gone.workflow_node_metadata.execution_id.CopyFrom(
        WorkflowExecutionIdentifier(project=PROJECT, domain=DOMAIN, name="gone")
    )
    await parent.send(parent.execution(WorkflowExecution.RUNNING, 1), parent.node(NodeExecution.RUNNING, "n0", 2))
    await parent.send(child, launcher, gone)
    span = await spans(parent, -1)
    below, launched, missing = span.spans[1:4]
    assert shape(below) == ("node", "NODE_SETUP", ("node", "NODE_SETUP"))
    assert launched.spans[1] == await spans(run, -1)
    assert shape(missing) == ("node", "NODE_SETUP")


async def test_execution_that_waits_is_all_setup(world: World) -> None:
    """Before the first node everything is WORKFLOW_SETUP; an unknown execution is NOT_FOUND."""
    name = await world.execute(await world.register_launch_plan("wf"), "fresh", x=1)
    request = WorkflowExecutionGetMetricsRequest(id=name, depth=3)
    assert shape((await world.admin.GetExecutionMetrics(request, None)).span) == ("workflow", "WORKFLOW_SETUP")
    request.id.name = "unknown"
    with pytest.raises(MissingEntityError):
        await world.admin.GetExecutionMetrics(request, None)
