"""Events of nodes and attempts, alone and in batches."""

from __future__ import annotations

import asyncio
from datetime import UTC, timedelta

import grpc
import pytest
from flyteidl.admin.execution_pb2 import WorkflowExecutionGetRequest
from flyteidl.admin.node_execution_pb2 import (
    GetDynamicNodeWorkflowRequest,
    NodeExecutionForTaskListRequest,
    NodeExecutionGetDataRequest,
    NodeExecutionGetRequest,
    NodeExecutionListRequest,
)
from flyteidl.admin.task_execution_pb2 import (
    TaskExecutionGetDataRequest,
    TaskExecutionGetRequest,
    TaskExecutionListRequest,
)
from flyteidl.core.catalog_pb2 import CatalogCacheStatus
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.execution_pb2 import NodeExecution, TaskExecution, WorkflowExecution

from flyteform_controlplane.errors import (
    EntityExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    MissingEntityError,
    ResourceExhaustedError,
)
from support.admin import World, integers
from support.run import START, Run


@pytest.fixture
async def run(world: World) -> Run:
    """Give an execution of a workflow of one task that is running."""
    plan = await world.register_launch_plan("wf")
    name = await world.execute(plan, "run", x=1)
    run = Run(world, name, (await world.register_task("other")))
    await run.send(run.execution(WorkflowExecution.RUNNING))
    return run


async def test_node_and_attempt_tell_what_clients_read(run: Run) -> None:
    """Times, duration, metadata, inputs, outputs, logs and cache status reach the readers' messages."""
    prefix = f"{run.world.objects.prefix}/d"
    await run.world.objects.put(f"{prefix}/inputs.pb", integers(x=1).SerializeToString())
    await run.world.objects.put(f"{prefix}/outputs.pb", integers(o0=2).SerializeToString())
    running = run.node(NodeExecution.RUNNING, seconds=1)
    running.input_uri, running.retry_group, running.is_array = f"{prefix}/inputs.pb", "0", True
    attempt = run.attempt(TaskExecution.RUNNING, seconds=2)
    attempt.input_uri, attempt.task_type = f"{prefix}/inputs.pb", "python-task"
    attempt.logs.add(uri="http://log", name="log")
    done = run.attempt(TaskExecution.SUCCEEDED, seconds=5)
    done.output_uri = f"{prefix}/outputs.pb"
    end = run.node(NodeExecution.SUCCEEDED, seconds=6)
    end.output_uri, end.deck_uri = f"{prefix}/outputs.pb", f"{prefix}/deck.html"
    end.task_node_metadata.cache_status = CatalogCacheStatus.CACHE_HIT
    await run.send(run.node(NodeExecution.QUEUED), running, attempt, done, end)

    admin = run.world.admin
    node = await admin.GetNodeExecution(NodeExecutionGetRequest(id=run.node_id()), None)
    assert node.metadata.spec_node_id == "n0"
    assert (node.metadata.retry_group, node.metadata.is_array) == ("0", True)
    assert node.closure.created_at.ToDatetime(UTC) == START
    assert node.closure.started_at.ToDatetime(UTC) == START + timedelta(seconds=1)
    assert node.closure.updated_at.ToDatetime(UTC) == START + timedelta(seconds=6)
    assert node.closure.duration.seconds == 5
    assert node.closure.task_node_metadata.cache_status == CatalogCacheStatus.CACHE_HIT
    assert await run.nodes(filters="eq(cache_status,CACHE_HIT)") == ["n0"]

    data = await admin.GetNodeExecutionData(NodeExecutionGetDataRequest(id=run.node_id()), None)
    assert (data.full_inputs, data.full_outputs) == (integers(x=1), integers(o0=2))
    urls = "flyte://v1/flytesnacks/development/run/n0"
    assert (data.flyte_urls.inputs, data.flyte_urls.deck) == (f"{urls}/i", f"{urls}/d")

    task = await admin.GetTaskExecution(TaskExecutionGetRequest(id=run.attempt_id()), None)
    assert task.closure.phase == TaskExecution.SUCCEEDED
    assert task.closure.duration.seconds == 3
    assert [log.uri for log in task.closure.logs] == ["http://log"]
    assert task.closure.task_type == "python-task"
    data = await admin.GetTaskExecutionData(TaskExecutionGetDataRequest(id=run.attempt_id()), None)
    assert data.full_outputs == integers(o0=2)
    assert data.flyte_urls.outputs == f"{urls}/0/o"


async def test_every_attempt_is_kept(run: Run) -> None:
    """A retried task has one row per attempt, each with its own end."""
    failed = run.attempt(TaskExecution.RETRYABLE_FAILED)
    failed.error.message = "first"
    second = run.attempt(TaskExecution.SUCCEEDED, attempt=1)
    await run.send(run.node(NodeExecution.RUNNING), failed, second)
    request = TaskExecutionListRequest(node_execution_id=run.node_id(), limit=10)
    attempts = (await run.world.admin.ListTaskExecutions(request, None)).task_executions
    phases = [(one.id.retry_attempt, one.closure.phase, one.is_parent) for one in attempts]
    assert phases == [(0, TaskExecution.RETRYABLE_FAILED, False), (1, TaskExecution.SUCCEEDED, False)]


async def test_children_are_listed_under_their_parent_alone(run: Run) -> None:
    """Nodes of a parent node or of an attempt appear under it and not at the top."""
    child, grandchild, of_task = (run.node(NodeExecution.RUNNING, name) for name in ("n0-0-a", "n0-0-b", "n0-t"))
    child.parent_node_metadata.node_id = "n0"
    grandchild.parent_node_metadata.node_id = "n0-0-a"
    of_task.parent_task_metadata.id.CopyFrom(run.attempt_id())
    await run.send(run.node(NodeExecution.RUNNING), run.attempt(TaskExecution.RUNNING), child, grandchild, of_task)
    assert await run.nodes() == ["n0"]
    assert await run.nodes("n0") == ["n0-0-a"]
    assert await run.nodes("n0-0-a") == ["n0-0-b"]
    request = NodeExecutionForTaskListRequest(task_execution_id=run.attempt_id(), limit=10)
    page = await run.world.admin.ListNodeExecutionsForTask(request, None)
    assert [one.id.node_id for one in page.node_executions] == ["n0-t"]
    found = await run.world.admin.GetTaskExecution(TaskExecutionGetRequest(id=run.attempt_id()), None)
    assert found.is_parent
    with pytest.raises(MissingEntityError):
        await run.nodes("nobody")


async def test_parents_and_children_may_come_in_one_batch(run: Run) -> None:
    """A batch that holds a whole new tree stores it as single events would."""
    child, grandchild, of_task = (run.node(NodeExecution.RUNNING, name) for name in ("a", "b", "c"))
    child.parent_node_metadata.node_id = "n0"
    grandchild.parent_node_metadata.node_id = "a"
    of_task.parent_task_metadata.id.CopyFrom(run.attempt_id())
    events = (run.node(NodeExecution.RUNNING), child, grandchild, run.attempt(TaskExecution.RUNNING), of_task)
    assert await run.report(*events) == [grpc.StatusCode.OK] * 5
    assert (await run.nodes(), await run.nodes("n0"), await run.nodes("a")) == (["n0"], ["a"], ["b"])
    request = NodeExecutionForTaskListRequest(task_execution_id=run.attempt_id(), limit=10)
    page = await run.world.admin.ListNodeExecutionsForTask(request, None)
    assert [one.id.node_id for one in page.node_executions] == ["c"]


async def test_refused_events_do_not_stop_the_others(run: Run) -> None:
    """Each event of a batch gets its own status, in order, and what is right is applied."""
    orphan = run.node(NodeExecution.RUNNING, "orphan")
    orphan.parent_node_metadata.node_id = "nobody"
    timeless = run.node(NodeExecution.RUNNING, "timeless")
    timeless.ClearField("occurred_at")
    statuses = await run.report(
        run.node(NodeExecution.QUEUED),
        run.node(NodeExecution.QUEUED),
        orphan,
        timeless,
        run.node(NodeExecution.SUCCEEDED),
        run.node(NodeExecution.RUNNING),
        run.execution(WorkflowExecution.SUCCEEDED),
    )
    assert statuses == [
        grpc.StatusCode.OK,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.OK,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OK,
    ]
    assert await run.nodes() == ["n0"]
    found = await run.world.admin.GetExecution(WorkflowExecutionGetRequest(id=run.name), None)
    assert found.closure.phase == WorkflowExecution.SUCCEEDED
    assert found.closure.duration.seconds == 0


async def test_batch_of_thousands_is_applied_in_order(run: Run) -> None:
    """A batch over the size of one transaction keeps its order: all nodes end SUCCEEDED."""
    phases = (NodeExecution.QUEUED, NodeExecution.RUNNING, NodeExecution.SUCCEEDED)
    events = [run.node(phase, f"n{number}") for number in range(400) for phase in phases]
    assert set(await run.report(*events)) == {grpc.StatusCode.OK}
    request = NodeExecutionListRequest(workflow_execution_id=run.name, limit=1000, filters="eq(phase,SUCCEEDED)")
    page = await run.world.admin.ListNodeExecutions(request, None)
    assert len(page.node_executions) == 400


async def test_simultaneous_first_events_of_a_node_make_one_row(run: Run) -> None:
    """Reports that meet are applied one after the other: one is recorded, the others exist already."""
    calls = (run.send(run.node(NodeExecution.QUEUED)) for _ in range(10))
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, EntityExistsError) for result in results) == 9
    assert await run.nodes() == ["n0"]


async def test_events_of_what_does_not_exist_are_not_found(run: Run) -> None:
    """A node needs its execution, an attempt its node."""
    with pytest.raises(MissingEntityError):
        await run.send(run.attempt(TaskExecution.RUNNING))
    run.name.name = "nobody"
    with pytest.raises(MissingEntityError):
        await run.send(run.node(NodeExecution.RUNNING))


async def test_another_cluster_may_not_report(run: Run) -> None:
    """Once a cluster holds the execution, events of others are refused with a detail; unnamed ones pass."""
    running = run.node(NodeExecution.RUNNING)
    queued = run.execution(WorkflowExecution.SUCCEEDING)
    queued.producer_id = running.producer_id = "one"
    await run.send(queued, running)
    stranger = run.node(NodeExecution.SUCCEEDED)
    stranger.producer_id = "two"
    with pytest.raises(FailedPreconditionError) as refusal:
        await run.send(stranger)
    assert "incompatible_cluster" in str(refusal.value.details[0])
    stranger.producer_id = "propeller"
    await run.send(stranger)


async def test_dynamic_workflow_is_kept_in_the_object_store(run: Run) -> None:
    """The workflow that a node made is read back with its data and by its own method."""
    closure = CompiledWorkflowClosure()
    closure.primary.template.id.name = "made"
    event = run.node(NodeExecution.DYNAMIC_RUNNING)
    event.is_dynamic = True
    event.task_node_metadata.dynamic_workflow.compiled_workflow.CopyFrom(closure)
    event.task_node_metadata.dynamic_workflow.dynamic_job_spec_uri = "file:///futures.pb"
    await run.send(run.node(NodeExecution.RUNNING), event)
    request = GetDynamicNodeWorkflowRequest(id=run.node_id())
    assert (await run.world.admin.GetDynamicNodeWorkflow(request, None)).compiled_workflow == closure
    data = await run.world.admin.GetNodeExecutionData(NodeExecutionGetDataRequest(id=run.node_id()), None)
    assert data.dynamic_workflow.compiled_workflow == closure
    assert data.dynamic_workflow.dynamic_job_spec_uri == "file:///futures.pb"
    await run.send(run.node(NodeExecution.RUNNING, "plain"))
    with pytest.raises(MissingEntityError):
        await run.world.admin.GetDynamicNodeWorkflow(GetDynamicNodeWorkflowRequest(id=run.node_id("plain")), None)


async def test_inline_values_are_kept_and_too_large_ones_refused(run: Run) -> None:
    """Inputs and outputs inside events are readable; over 2 MB they are RESOURCE_EXHAUSTED."""
    event = run.node(NodeExecution.SUCCEEDED)
    event.input_data.CopyFrom(integers(x=1))
    event.output_data.CopyFrom(integers(o0=2))
    await run.send(event)
    data = await run.world.admin.GetNodeExecutionData(NodeExecutionGetDataRequest(id=run.node_id()), None)
    assert (data.full_inputs, data.full_outputs) == (integers(x=1), integers(o0=2))
    large = run.execution(WorkflowExecution.SUCCEEDED)
    large.output_data.literals["o0"].scalar.primitive.string_value = "v" * (2 * 1024 * 1024)
    with pytest.raises(ResourceExhaustedError):
        await run.send(large)


async def test_event_without_identity_is_refused(run: Run) -> None:
    """What an event lacks is named."""
    event = run.node(NodeExecution.RUNNING)
    event.id.node_id = ""
    with pytest.raises(InvalidArgumentError, match="missing node_id"):
        await run.send(event)
    assert await run.report() == []
