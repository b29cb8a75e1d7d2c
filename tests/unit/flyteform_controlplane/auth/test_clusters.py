"""What the token of a data plane is good for: its own cluster's executions and nothing else."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from flyteidl.admin.event_pb2 import NodeExecutionEventRequest, WorkflowExecutionEventRequest
from flyteidl.admin.execution_pb2 import (
    ExecutionCreateRequest,
    ExecutionMetadata,
    ExecutionRecoverRequest,
    ExecutionSpec,
    ExecutionTerminateRequest,
    WorkflowExecutionGetRequest,
)
from flyteidl.admin.node_execution_pb2 import NodeExecutionListRequest
from flyteidl.admin.project_pb2 import ProjectListRequest
from flyteidl.admin.signal_pb2 import SignalGetOrCreateRequest
from flyteidl.admin.task_pb2 import TaskCreateRequest
from flyteidl.core.execution_pb2 import NodeExecution, WorkflowExecution
from flyteidl.core.identifier_pb2 import NodeExecutionIdentifier, SignalIdentifier
from flyteidl.core.types_pb2 import SimpleType
from flyteidl.event.event_pb2 import NodeExecutionEvent
from flyteidl.service.admin_pb2_grpc import AdminServiceStub
from flyteidl.service.signal_pb2_grpc import SignalServiceStub

from flyteform.proto.flyteform.v1.events_pb2 import Event, ReportEventsRequest
from flyteform.proto.flyteform.v1.events_pb2_grpc import EventServiceStub
from flyteform.proto.flyteform.v1.link_pb2 import Ack, FromDataPlane, Register
from flyteform.proto.flyteform.v1.link_pb2_grpc import DataPlaneLinkStub
from support.admin import DOMAIN, PROJECT, integers, task_spec
from support.login import Guarded, bearer, guarded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

DENIED = grpc.StatusCode.PERMISSION_DENIED


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Guarded]:
    """Give a control plane with login."""
    async with guarded(tmp_path, "one", "two") as running:
        yield running


@pytest.fixture
async def channel(platform: Guarded) -> AsyncIterator[grpc.aio.Channel]:
    """Give a channel to it."""
    async with grpc.aio.insecure_channel(platform.addresses.grpc) as opened:
        yield opened


@asynccontextmanager
async def linked(channel: grpc.aio.Channel, token: str, cluster: str) -> AsyncIterator[Any]:
    """Connect as a data plane that has registered."""
    stream = DataPlaneLinkStub(channel).Connect(metadata=bearer(token))
    try:
        await stream.write(FromDataPlane(register=Register(cluster=cluster)))
        assert (await stream.read()).WhichOneof("message") == "registered"
        yield stream
    finally:
        stream.cancel()


async def refusal(call: Any) -> grpc.StatusCode:
    """Return the code that the call is refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code()


async def launch(platform: Guarded, channel: grpc.aio.Channel) -> WorkflowExecutionIdentifier:
    """Create an execution as a user does."""
    admin, user = AdminServiceStub(channel), bearer(platform.token())
    spec = task_spec("t")
    await admin.CreateTask(TaskCreateRequest(id=spec.template.id, spec=spec), metadata=user)
    request = ExecutionCreateRequest(
        project=PROJECT,
        domain=DOMAIN,
        name="run",
        spec=ExecutionSpec(launch_plan=spec.template.id),
        inputs=integers(x=1),
    )
    created: WorkflowExecutionIdentifier = (await admin.CreateExecution(request, metadata=user)).id
    return created


def running(execution: WorkflowExecutionIdentifier) -> WorkflowExecutionEventRequest:
    """Report that it runs, without naming a cluster, which no rule about names could refuse."""
    request = WorkflowExecutionEventRequest(request_id="1")
    request.event.execution_id.CopyFrom(execution)
    request.event.phase = WorkflowExecution.RUNNING
    request.event.occurred_at.GetCurrentTime()
    return request


async def report(channel: grpc.aio.Channel, token: str, request: WorkflowExecutionEventRequest) -> int:
    """Report one event in a batch; return its status."""
    batch = ReportEventsRequest(events=[Event(workflow=request)])
    answer = await EventServiceStub(channel).ReportEvents(batch, metadata=bearer(token))
    code: int = answer.statuses[0].code
    return code


async def test_only_the_cluster_that_has_the_lease_may_report(platform: Guarded, channel: grpc.aio.Channel) -> None:
    """From its lease on, the holder's events are taken; another cluster's are PERMISSION_DENIED in all three ways."""
    one, two = platform.cluster_token("one"), platform.cluster_token("two")
    async with linked(channel, two, "two") as stream:
        execution = await launch(platform, channel)
        async with asyncio.timeout(10):
            lease = (await stream.read()).lease
        assert lease.id == execution
        event = running(execution)
        assert await report(channel, one, event) == DENIED.value[0]
        admin = AdminServiceStub(channel)
        assert await refusal(admin.CreateWorkflowEvent(event, metadata=bearer(one))) is DENIED
        posted = await platform.ask(
            "POST",
            "/api/v1/events/workflows",
            event.SerializeToString(),
            {"authorization": f"Bearer {one}", "content-type": "application/octet-stream"},
        )
        assert posted.status == 403
        # The Ack and an event travel on different streams, so the lease alone has to be enough.
        assert await report(channel, two, event) == 0
        await stream.write(FromDataPlane(ack=Ack(id=execution, epoch=lease.epoch)))
        event.event.phase = WorkflowExecution.SUCCEEDED
        assert await report(channel, one, event) == DENIED.value[0]
        assert await report(channel, two, event) == 0


async def test_a_refused_event_does_not_stop_those_that_are_its_own(
    platform: Guarded, channel: grpc.aio.Channel
) -> None:
    """In one batch the event of nobody's execution is refused and leaves the other as it is."""
    two = platform.cluster_token("two")
    async with linked(channel, two, "two") as stream:
        execution = await launch(platform, channel)
        async with asyncio.timeout(10):
            await stream.read()
        unknown = running(execution)
        unknown.event.execution_id.name = "unknown"
        batch = ReportEventsRequest(events=[Event(workflow=unknown), Event(workflow=running(execution))])
        answer = await EventServiceStub(channel).ReportEvents(batch, metadata=bearer(two))
    assert [status.code for status in answer.statuses] == [grpc.StatusCode.NOT_FOUND.value[0], 0]


async def test_a_data_plane_registers_its_own_cluster_only(platform: Guarded, channel: grpc.aio.Channel) -> None:
    """Another cluster's name is refused, and so is the link to whoever is no data plane."""

    async def connect(token: str, cluster: str) -> None:
        async with linked(channel, token, cluster):
            pass

    await connect(platform.cluster_token("one"), "one")
    assert await refusal(connect(platform.cluster_token("one"), "two")) is DENIED
    assert await refusal(connect(platform.token(), "one")) is DENIED
    assert await refusal(connect(platform.token(exp=1), "one")) is grpc.StatusCode.UNAUTHENTICATED


async def test_a_data_plane_cannot_claim_what_it_never_was_given(platform: Guarded, channel: grpc.aio.Channel) -> None:
    """To say that one holds an execution which was never leased brings a Revoke and not the execution."""
    one = platform.cluster_token("one")
    execution = await launch(platform, channel)  # no data plane is there yet
    stream = DataPlaneLinkStub(channel).Connect(metadata=bearer(one))
    await stream.write(FromDataPlane(register=Register(cluster="one", held=[execution])))
    async with asyncio.timeout(10):
        kinds = [(await stream.read()).WhichOneof("message") for _ in range(2)]
    stream.cancel()
    assert kinds == ["registered", "revoke"]


async def test_a_data_plane_calls_nothing_of_the_users(platform: Guarded, channel: grpc.aio.Channel) -> None:
    """It can neither read nor create what users do; over REST neither; its own client's token is as limited."""
    admin = AdminServiceStub(channel)
    answer = await platform.exchange(
        {"grant_type": "client_credentials", "scope": "all"}, "dataplane-one", platform.secret("dataplane-one")
    )
    for token in (platform.cluster_token("one"), answer.json["access_token"]):
        assert await refusal(admin.ListProjects(ProjectListRequest(), metadata=bearer(token))) is DENIED
        assert await refusal(admin.CreateExecution(ExecutionCreateRequest(), metadata=bearer(token))) is DENIED
        headers = {"authorization": f"Bearer {token}"}
        assert (await platform.ask("GET", "/api/v1/projects", headers=headers)).status == 403
        assert (await platform.ask("GET", "/me", headers=headers)).json["subject"] == "dataplane-one"


async def test_a_data_plane_creates_children_of_what_it_holds(platform: Guarded, channel: grpc.aio.Channel) -> None:
    """The holder may create, watch and end a child, and wait for a signal; another cluster may do none of that."""
    admin, signals = AdminServiceStub(channel), SignalServiceStub(channel)
    one, two = bearer(platform.cluster_token("one")), bearer(platform.cluster_token("two"))
    async with linked(channel, platform.cluster_token("two"), "two") as stream:
        execution = await launch(platform, channel)
        async with asyncio.timeout(10):
            await stream.read()
        node = NodeExecutionIdentifier(node_id="n0", execution_id=execution)
        event = NodeExecutionEvent(id=node, phase=NodeExecution.QUEUED)
        event.occurred_at.GetCurrentTime()
        await admin.CreateNodeEvent(NodeExecutionEventRequest(event=event), metadata=two)
        request = ExecutionCreateRequest(project=PROJECT, domain=DOMAIN, name="child", inputs=integers(x=1))
        request.spec.launch_plan.CopyFrom(task_spec("t").template.id)
        request.spec.metadata.mode = ExecutionMetadata.CHILD_WORKFLOW
        assert await refusal(admin.CreateExecution(request, metadata=two)) is DENIED
        request.spec.metadata.parent_node_execution.CopyFrom(node)
        assert await refusal(admin.CreateExecution(request, metadata=one)) is DENIED
        child = (await admin.CreateExecution(request, metadata=two)).id
        look, end = WorkflowExecutionGetRequest(id=child), ExecutionTerminateRequest(id=child)
        signal = SignalGetOrCreateRequest(id=SignalIdentifier(signal_id="go", execution_id=execution))
        signal.type.simple = SimpleType.BOOLEAN
        for call in (
            admin.GetExecution(look, metadata=one),
            admin.TerminateExecution(end, metadata=one),
            signals.GetOrCreateSignal(signal, metadata=one),
        ):
            assert await refusal(call) is DENIED
        assert (await admin.GetExecution(look, metadata=two)).spec.metadata.parent_node_execution == node
        await admin.TerminateExecution(end, metadata=two)
        assert not (await signals.GetOrCreateSignal(signal, metadata=two)).HasField("value")


async def test_who_recovers_an_execution_may_look_at_it(platform: Guarded, channel: grpc.aio.Channel) -> None:
    """From its lease on the holder of the new execution may list the nodes of the former one; others may not."""
    admin = AdminServiceStub(channel)
    one, two = bearer(platform.cluster_token("one")), bearer(platform.cluster_token("two"))
    async with linked(channel, platform.cluster_token("one"), "one") as stream:
        former = await launch(platform, channel)
        async with asyncio.timeout(10):
            await stream.read()
        event = running(former)
        event.event.phase = WorkflowExecution.FAILED
        assert await report(channel, platform.cluster_token("one"), event) == 0
    look = NodeExecutionListRequest(workflow_execution_id=former, limit=10)
    assert await refusal(admin.ListNodeExecutions(look, metadata=two)) is DENIED
    async with linked(channel, platform.cluster_token("two"), "two") as stream:
        again = ExecutionRecoverRequest(id=former, name="again")
        await admin.RecoverExecution(again, metadata=bearer(platform.token()))
        async with asyncio.timeout(10):
            assert (await stream.read()).lease.recover_from == former
        assert not (await admin.ListNodeExecutions(look, metadata=two)).node_executions
        assert not (await admin.ListNodeExecutions(look, metadata=one)).node_executions


async def test_a_link_ends_with_its_token(platform: Guarded, channel: grpc.aio.Channel) -> None:
    """A stream does not outlive the token that opened it."""
    claims = platform.claims()
    token = platform.token(cluster="one", exp=claims["iat"] + 3)
    async with linked(channel, token, "one") as stream:
        async with asyncio.timeout(10):
            assert await refusal(stream.read()) is grpc.StatusCode.UNAUTHENTICATED
