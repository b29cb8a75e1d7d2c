"""Following executions of which a data plane reports, over a real control plane; uploads to its object store."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import grpc.aio
import pytest
from flyteidl.admin import event_pb2 as requests
from flyteidl.admin import execution_pb2 as executions
from flyteidl.core import catalog_pb2, execution_pb2, identifier_pb2, literals_pb2
from flyteidl.event import event_pb2 as events
from flyteidl.service import admin_pb2_grpc

from flyteform.cli.remote_run import register
from flyteform.client.launch import execution_url, launch
from flyteform.client.upload import upload
from flyteform.client.watch import Items, watch
from flyteform.errors import AlreadyExistsError
from flyteform.provision.desired import DEFAULT_IMAGE
from flyteform.provision.loading import load_resources
from flyteform.provision.resources import Workflow
from flyteform.types import to_literal
from support.control_plane import control_plane
from support.declarations import write_project

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from flyteform import authoring
    from flyteform.client.admin import AdminClient
    from flyteform.client.watch import ExecutionState

NODE, TASK, WORKFLOW = execution_pb2.NodeExecution, execution_pb2.TaskExecution, execution_pb2.WorkflowExecution
LONG = "boom " * 100


class DataPlane:
    """Reports events of one execution, as a data plane would."""

    def __init__(
        self, stub: admin_pb2_grpc.AdminServiceStub, execution: identifier_pb2.WorkflowExecutionIdentifier
    ) -> None:
        self.stub, self.execution = stub, execution

    async def workflow(self, phase: int, **fields: object) -> None:
        """Report a phase of the execution."""
        event = events.WorkflowExecutionEvent(execution_id=self.execution, phase=phase, **fields)
        event.occurred_at.GetCurrentTime()
        await self.stub.CreateWorkflowEvent(requests.WorkflowExecutionEventRequest(event=event))

    async def node(self, node_id: str, phase: int, **fields: object) -> None:
        """Report a phase of a node."""
        identifier = identifier_pb2.NodeExecutionIdentifier(node_id=node_id, execution_id=self.execution)
        event = events.NodeExecutionEvent(id=identifier, phase=phase, spec_node_id=node_id, **fields)
        event.occurred_at.GetCurrentTime()
        await self.stub.CreateNodeEvent(requests.NodeExecutionEventRequest(event=event))

    async def attempt(
        self, node_id: str, number: int, phase: int, items: tuple[int, ...] = (), reason: str = ""
    ) -> None:
        """Report a phase of an attempt with its reason, and the phases of its items."""
        event = events.TaskExecutionEvent(
            task_id=identifier_pb2.Identifier(
                resource_type=identifier_pb2.TASK, project="flytesnacks", domain="development", name="t", version="v"
            ),
            parent_node_execution_id=identifier_pb2.NodeExecutionIdentifier(
                node_id=node_id, execution_id=self.execution
            ),
            retry_attempt=number,
            phase=phase,
            reason=reason,
        )
        event.occurred_at.GetCurrentTime()
        for index, item in enumerate(items):
            event.metadata.external_resources.add(external_id=str(index), index=index, phase=item)
        await self.stub.CreateTaskEvent(requests.TaskExecutionEventRequest(event=event))


def total(folder: Path) -> authoring.Workflow:
    """Write the example project and return its workflow."""
    loaded = load_resources(write_project(folder).with_name("tasks.py"))
    return next(resource.entity for resource in loaded if isinstance(resource, Workflow))


@asynccontextmanager
async def launched(folder: Path) -> AsyncIterator[tuple[AdminClient, DataPlane]]:
    """Register the example workflow on a control plane of its own and start it."""
    entity = total(folder / "work")
    async with control_plane(folder) as client:
        target = await register(client, entity, DEFAULT_IMAGE)
        execution = await launch(client, target, {"x": to_literal(1, int)})
        async with grpc.aio.insecure_channel(client.config.endpoint) as channel:
            yield client, DataPlane(admin_pb2_grpc.AdminServiceStub(channel), execution)


class Following:
    """Collects snapshots while a test reports events."""

    def __init__(self, client: AdminClient, data_plane: DataPlane) -> None:
        self.states: list[ExecutionState] = []
        self._changed = asyncio.Condition()
        self.task = asyncio.create_task(self._collect(client, data_plane))

    async def _collect(self, client: AdminClient, data_plane: DataPlane) -> None:
        async for state in watch(client, data_plane.execution):
            async with self._changed:
                self.states.append(state)
                self._changed.notify_all()

    async def until(self, condition: Callable[[ExecutionState], bool]) -> ExecutionState:
        """Return the newest snapshot once it meets the condition."""
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: self.states and condition(self.states[-1]))
            return self.states[-1]


async def test_every_change_is_a_snapshot_until_the_end(tmp_path: Path) -> None:
    """Phases, names, cache, attempts and the end arrive in order; the last snapshot is final and complete."""
    async with launched(tmp_path) as (client, data_plane):
        following = Following(client, data_plane)
        await data_plane.workflow(WORKFLOW.RUNNING)
        await data_plane.node("n0", NODE.RUNNING)
        running = await following.until(lambda state: bool(state.nodes))
        assert [(node.id, node.name, node.phase) for node in running.nodes] == [("n0", "double", "RUNNING")]
        hit = events.TaskNodeMetadata(cache_status=catalog_pb2.CACHE_HIT)
        await data_plane.node("n0", NODE.SUCCEEDED, task_node_metadata=hit)
        await data_plane.node("n1", NODE.RUNNING)
        await data_plane.attempt("n1", 0, TASK.RETRYABLE_FAILED)
        await data_plane.attempt("n1", 1, TASK.SUCCEEDED)
        await data_plane.node("n1", NODE.SUCCEEDED)
        await data_plane.workflow(WORKFLOW.SUCCEEDED)
        last = await following.until(lambda state: state.ended)
        await following.task
        assert last.succeeded
        assert [(node.phase, node.cache, node.attempts) for node in last.nodes] == [
            ("SUCCEEDED", "hit", 0),
            ("SUCCEEDED", "", 2),
        ]
        assert all(before != after for before, after in zip(following.states, following.states[1:], strict=False))
        seconds = last.seconds(datetime.now(UTC))
        assert seconds is not None
        assert seconds < 60


class Slow:
    """A platform that answers in `seconds`, by a clock of its own, and says that an execution runs until it ends."""

    def __init__(self, phases: list[int], seconds: float = 0.0) -> None:
        self.time, self.pauses = 0.0, list[float]()
        self._phases, self._seconds = phases, seconds

    async def get_execution(self, _execution: identifier_pb2.WorkflowExecutionIdentifier) -> executions.Execution:
        """Return the next phase, after a while."""
        self.time += self._seconds
        return executions.Execution(closure=executions.ExecutionClosure(phase=self._phases.pop(0)))

    async def list_node_executions(self, _execution: object) -> AsyncIterator[object]:
        """Return none."""
        for node in ():
            yield node

    async def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.time += seconds
        self.pauses.append(round(seconds, 3))

    async def watch(self) -> list[str]:
        """Follow it to its end."""
        execution = identifier_pb2.WorkflowExecutionIdentifier(name="e")
        seen = watch(self, execution, sleep=self.sleep, monotonic=lambda: self.time)  # type: ignore[arg-type]
        return [state.phase async for state in seen]


async def test_what_does_not_change_is_looked_at_more_and_more_seldom() -> None:
    """From ten times a second down to once a second, and at once up again when something has changed."""
    platform = Slow([WORKFLOW.QUEUED] * 9 + [WORKFLOW.RUNNING] * 2 + [WORKFLOW.SUCCEEDED])
    assert await platform.watch() == ["QUEUED", "RUNNING", "SUCCEEDED"]
    assert platform.pauses == [0.1, 0.15, 0.225, 0.338, 0.506, 0.759, 1.0, 1.0, 1.0, 0.1, 0.15]


async def test_looking_takes_half_of_the_time_at_most() -> None:
    """A platform that is slow to answer is left alone for as long as it took."""
    platform = Slow([WORKFLOW.QUEUED, WORKFLOW.RUNNING, WORKFLOW.RUNNING, WORKFLOW.FAILED], seconds=0.7)
    assert await platform.watch() == ["QUEUED", "RUNNING", "FAILED"]
    assert platform.pauses == [0.7, 0.7, 0.7]


async def test_items_of_a_map_are_counted(tmp_path: Path) -> None:
    """A node that maps says how many items are done, have failed, and are there."""
    async with launched(tmp_path) as (client, data_plane):
        following = Following(client, data_plane)
        await data_plane.workflow(WORKFLOW.RUNNING)
        await data_plane.node("n0", NODE.RUNNING, is_array=True)
        await data_plane.attempt("n0", 0, TASK.RUNNING, (TASK.SUCCEEDED, TASK.RUNNING, TASK.FAILED))
        state = await following.until(lambda state: bool(state.nodes) and state.nodes[0].items is not None)
        assert state.nodes[0].items == Items(done=1, failed=1, total=3)
        following.task.cancel()


async def test_what_an_attempt_waits_for_is_there_while_it_waits(tmp_path: Path) -> None:
    """The reason of an attempt, or of an item, that does not run yet; nothing once it runs."""
    async with launched(tmp_path) as (client, data_plane):
        following = Following(client, data_plane)
        await data_plane.workflow(WORKFLOW.RUNNING)
        for node, items in (("n0", ()), ("n1", (TASK.RUNNING, TASK.INITIALIZING))):
            await data_plane.node(node, NODE.QUEUED, is_array=bool(items))
            phase = TASK.RUNNING if items else TASK.WAITING_FOR_RESOURCES
            await data_plane.attempt(node, 0, phase, items, reason=f"{node} waits")
        await following.until(lambda state: [node.waits for node in state.nodes] == ["n0 waits", "n1 waits"])
        await data_plane.attempt("n0", 0, TASK.RUNNING)
        await data_plane.attempt("n1", 0, TASK.SUCCEEDED, (TASK.RUNNING, TASK.RUNNING))
        await following.until(lambda state: [node.waits for node in state.nodes] == ["", ""])
        following.task.cancel()


async def test_a_failure_comes_with_its_whole_error(tmp_path: Path) -> None:
    """The error of a failed node is not cut short, as lists cut it."""
    async with launched(tmp_path) as (client, data_plane):
        following = Following(client, data_plane)
        error = execution_pb2.ExecutionError(code="USER", message=LONG)
        await data_plane.workflow(WORKFLOW.RUNNING)
        await data_plane.node("n0", NODE.RUNNING)
        await data_plane.node("n0", NODE.FAILED, error=error)
        await data_plane.workflow(WORKFLOW.FAILED, error=error)
        last = await following.until(lambda state: state.ended)
        assert (last.phase, last.nodes[0].error, last.error) == ("FAILED", LONG, LONG)


async def test_registering_twice_changes_nothing_and_activates_nothing(tmp_path: Path) -> None:
    """A remote run uses versions that exist, and leaves schedules and active versions alone."""
    entity = total(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        first = await register(client, entity, DEFAULT_IMAGE)
        assert await register(client, entity, DEFAULT_IMAGE) == first
        active = client.list_launch_plans("flytesnacks", "development", filters="eq(state,1)")
        assert [row.id.name async for row in active] == []


async def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    """Only a name that was made here may be met again; one that a person gave is theirs to change."""
    async with launched(tmp_path) as (client, data_plane):
        execution = await client.get_execution(data_plane.execution)
        target = execution.spec.launch_plan
        literals = {"x": literals_pb2.Literal()}
        literals["x"].scalar.primitive.integer = 1
        with pytest.raises(AlreadyExistsError):
            await launch(client, target, literals, execution.id.name)
        assert execution_url(client.config, execution.id) is not None


async def test_an_upload_is_stored_and_may_be_repeated(tmp_path: Path) -> None:
    """Uploaded bytes lie under the URI that is returned, and the same upload again is no error."""
    async with control_plane(tmp_path) as client:
        first = await upload(client, "flytesnacks", "development", "code.tar.gz", b"content")
        assert await upload(client, "flytesnacks", "development", "code.tar.gz", b"content") == first
        assert first.startswith("file://")
        stored = await asyncio.to_thread(open, first.removeprefix("file://"), "rb")
        with stored:
            assert stored.read() == b"content"
