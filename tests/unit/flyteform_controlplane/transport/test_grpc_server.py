"""The gRPC server over a real channel: errors, details, limits, health, reflection, idle connections."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from flyteidl.admin.common_pb2 import ObjectGetRequest, RawOutputDataConfig
from flyteidl.admin.project_pb2 import ProjectGetRequest
from flyteidl.admin.task_pb2 import Task, TaskCreateRequest
from flyteidl.service import admin_pb2
from flyteidl.service.admin_pb2_grpc import AdminServiceServicer, AdminServiceStub
from google.rpc.status_pb2 import Status as RpcStatus
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from flyteform.errors import InvalidInputError, NotFoundError
from flyteform.proto.flyteform.v1 import link_pb2
from flyteform.proto.flyteform.v1.link_pb2_grpc import DataPlaneLinkServicer, DataPlaneLinkStub
from flyteform_controlplane.errors import EntityExistsError
from flyteform_controlplane.transport.grpc_server import OPTIONS, GrpcServer
from flyteform_controlplane.transport.interceptors import STANDARD
from flyteform_controlplane.transport.methods import Service, methods_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flyteform_controlplane.transport.calls import Call

DETAIL = RawOutputDataConfig(output_location_prefix="detail")
BIG = 21 * 1024 * 1024


class Admin(AdminServiceServicer):
    """Answers GetTask, and raises what the name of the task says."""

    async def GetTask(self, request: ObjectGetRequest, context: Call) -> Task:  # noqa: N802 - Flyte's name
        """Return the name that was asked for, or fail as it says."""
        match request.id.name:
            case "uncaught":
                raise KeyError("secret inside")
            case "exists":
                raise EntityExistsError("task exists", details=(DETAIL,))
            case "bulky":
                raise EntityExistsError(
                    "ä" * 100_000, details=(RawOutputDataConfig(output_location_prefix="x" * 9000),)
                )
            case "missing":
                raise NotFoundError("no such thing", remedy="look elsewhere")
            case "wrong":
                raise InvalidInputError("wrong value")
            case "metadata":
                return Task(short_description=f"{context.metadata['x-mark']} {context.request_id}")
        return Task(id=request.id)

    async def CreateTask(self, request: TaskCreateRequest, _context: Call) -> Any:  # noqa: N802 - Flyte's name
        """Say how much arrived."""
        raise InvalidInputError(f"{len(request.id.name)} bytes")


class Link(DataPlaneLinkServicer):
    """Echoes acknowledgements as aborts; fails on anything else."""

    async def Connect(  # type: ignore[override] # noqa: N802 - Flyte's name; the generated base is synchronous
        self, requests: AsyncIterator[link_pb2.FromDataPlane], _context: object
    ) -> AsyncIterator[link_pb2.ToDataPlane]:
        """Answer each message."""
        async for message in requests:
            if message.WhichOneof("message") != "ack":
                raise EntityExistsError("only acknowledgements", details=(DETAIL,))
            yield link_pb2.ToDataPlane(abort=link_pb2.Abort(id=message.ack.id, cause="echo"))


@pytest.fixture
async def server() -> AsyncIterator[tuple[GrpcServer, grpc.aio.Channel]]:
    """Start a server with the two services, and a channel to it."""
    services = (
        Service(admin_pb2.DESCRIPTOR.services_by_name["AdminService"], Admin()),
        Service(link_pb2.DESCRIPTOR.services_by_name["DataPlaneLink"], Link()),
    )
    grpc_server = GrpcServer(methods_of(services, STANDARD))
    port = await grpc_server.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield grpc_server, channel
    await grpc_server.stop(0)


async def failure(channel: grpc.aio.Channel, name: str) -> grpc.aio.AioRpcError:
    """Ask for a task and return the error."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await AdminServiceStub(channel).GetTask(ObjectGetRequest(id={"name": name}))
    return caught.value


Server = tuple[GrpcServer, grpc.aio.Channel]


async def test_an_answer_comes_back(server: Server) -> None:
    """A call reaches its method and the response its caller."""
    assert (await AdminServiceStub(server[1]).GetTask(ObjectGetRequest(id={"name": "t"}))).id.name == "t"


async def test_metadata_and_request_id_reach_the_service(server: Server) -> None:
    """A service sees what the client sent, and the request id that the client chose."""
    metadata = (("x-mark", "here"), ("x-request-id", "mine"), ("x-some-bin", b"\x00"))
    task = await AdminServiceStub(server[1]).GetTask(ObjectGetRequest(id={"name": "metadata"}), metadata=metadata)
    assert task.short_description == "here mine"


async def test_uncaught_errors_are_internal(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """What a service did not mean to raise is INTERNAL, its text stays in the log, under the request id."""
    with caplog.at_level(logging.ERROR, "flyteform.errors"):
        error = await failure(server[1], "uncaught")
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret inside" not in str(error.details())
    identity = str(error.details()).split()[-1]
    assert identity.startswith("a-")
    assert len(identity) == 22
    assert identity in caplog.text
    assert "secret inside" in caplog.text


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("exists", grpc.StatusCode.ALREADY_EXISTS, "task exists"),
        ("missing", grpc.StatusCode.NOT_FOUND, "no such thing; look elsewhere"),
        ("wrong", grpc.StatusCode.INVALID_ARGUMENT, "wrong value"),
    ],
)
async def test_errors_have_their_status(server: Server, name: str, code: grpc.StatusCode, message: str) -> None:
    """Errors of either tree arrive with their code, their text and their remedy."""
    error = await failure(server[1], name)
    assert (error.code(), error.details()) == (code, message)


async def test_details_travel_in_the_trailer(server: Server) -> None:
    """Details are packed in the standard trailer, where every gRPC client looks for them."""
    error = await failure(server[1], "exists")
    trailer = dict(error.trailing_metadata())["grpc-status-details-bin"]
    status = RpcStatus.FromString(bytes(trailer))  # type: ignore[arg-type] # a -bin value is bytes
    assert (status.code, status.message) == (6, "task exists")
    unpacked = RawOutputDataConfig()
    assert status.details[0].Unpack(unpacked)
    assert unpacked == DETAIL


async def test_long_messages_fit_the_headers_of_a_default_client(server: Server) -> None:
    """A huge message is cut, in whole characters, so that the code arrives instead of a protocol error."""
    error = await failure(server[1], "bulky")
    assert error.code() is grpc.StatusCode.ALREADY_EXISTS
    details = str(error.details())
    assert details.startswith("ää")
    assert details.endswith("… (cut)")
    assert "grpc-status-details-bin" not in dict(error.trailing_metadata())


async def test_what_is_not_implemented_says_so(server: Server) -> None:
    """A method that the service lacks is UNIMPLEMENTED and named."""
    with pytest.raises(grpc.aio.AioRpcError, match=r"AdminService\.GetProject") as caught:
        await AdminServiceStub(server[1]).GetProject(ProjectGetRequest())
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_large_requests_are_taken(server: Server) -> None:
    """A request of more than 20 MB arrives whole."""
    with pytest.raises(grpc.aio.AioRpcError, match=f"{BIG} bytes"):
        await AdminServiceStub(server[1]).CreateTask(TaskCreateRequest(id={"name": "x" * BIG}))


async def test_streams_go_through_the_chain(server: Server) -> None:
    """A stream is answered message by message, and its failure has a code and details like any other."""
    stream = DataPlaneLinkStub(server[1]).Connect()
    for name in ("one", "two"):
        await stream.write(link_pb2.FromDataPlane(ack=link_pb2.Ack(id={"name": name})))
        answer = await stream.read()
        assert isinstance(answer, link_pb2.ToDataPlane)
        assert answer.abort.id.name == name
    await stream.write(link_pb2.FromDataPlane(heartbeat=link_pb2.Heartbeat()))
    with pytest.raises(grpc.aio.AioRpcError, match="only acknowledgements"):
        await stream.read()
    assert await stream.code() is grpc.StatusCode.ALREADY_EXISTS
    assert "grpc-status-details-bin" in dict(await stream.trailing_metadata())


async def test_stop_ends_open_streams(server: Server) -> None:
    """An open stream does not keep the server from stopping within its grace."""
    stream = DataPlaneLinkStub(server[1]).Connect()
    await stream.write(link_pb2.FromDataPlane(ack=link_pb2.Ack(id={"name": "one"})))
    await stream.read()
    started = time.monotonic()
    await server[0].stop(0.1)
    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize("name", ["", "flyteadmin"])
async def test_health_follows_readiness(server: Server, name: str) -> None:
    """Health says SERVING only from when the server reports itself ready."""
    stub = health_pb2_grpc.HealthStub(server[1])
    request = health_pb2.HealthCheckRequest(service=name)
    assert (await stub.Check(request)).status == health_pb2.HealthCheckResponse.NOT_SERVING
    await server[0].report(ready=True)
    assert (await stub.Check(request)).status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_lists_the_services(server: Server) -> None:
    """A client without stubs learns which services there are."""

    async def requests() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    stub = reflection_pb2_grpc.ServerReflectionStub(server[1])
    answers = [answer async for answer in stub.ServerReflectionInfo(requests())]
    names = {service.name for service in answers[0].list_services_response.service}
    assert {"flyteidl.service.AdminService", "flyteform.v1.DataPlaneLink", "grpc.health.v1.Health"} <= names


def test_idle_clients_may_ping() -> None:
    """A client that pings every 30 s without a call is within what the server allows, and ports are not shared."""
    options = dict(OPTIONS)
    assert options["grpc.keepalive_permit_without_calls"] == 1
    assert options["grpc.http2.min_recv_ping_interval_without_data_ms"] < 30_000
    assert options["grpc.http2.max_ping_strikes"] == 0
    assert options["grpc.so_reuseport"] == 0
