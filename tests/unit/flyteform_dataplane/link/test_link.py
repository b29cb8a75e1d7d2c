"""The link against a real gRPC server: what is said first, what is answered, and what a broken stream changes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc.aio
import pytest
from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

from flyteform.errors import UnavailableError
from flyteform.proto.flyteform.v1.link_pb2 import Abort, FromDataPlane, Lease, Registered, Revoke, ToDataPlane
from flyteform.proto.flyteform.v1.link_pb2_grpc import DataPlaneLinkServicer, add_DataPlaneLinkServicer_to_server
from flyteform_dataplane.channel import Backoff, open_channel
from flyteform_dataplane.link import LinkClient, Place
from support.attempts import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def execution(name: str) -> WorkflowExecutionIdentifier:
    """Return an execution's identifier."""
    return WorkflowExecutionIdentifier(project="p", domain="d", name=name)


class Server(DataPlaneLinkServicer):
    """A control plane that notes every message, and says what it is told to say."""

    def __init__(self) -> None:
        self.heard: list[list[FromDataPlane]] = []
        self.streams: list[asyncio.Queue[ToDataPlane | None]] = []
        self.registered = Registered(epoch=1)

    def say(self, **message: object) -> None:
        """Send a message on the newest stream."""
        self.streams[-1].put_nowait(ToDataPlane(**message))

    def hang_up(self) -> None:
        """End the newest stream."""
        self.streams[-1].put_nowait(None)

    def kinds(self, stream: int = -1) -> list[str]:
        """Return the kinds of the messages of one stream."""
        return [message.WhichOneof("message") or "" for message in self.heard[stream]]

    async def Connect(  # noqa: N802, D102 - gRPC's name
        self, request_iterator: AsyncIterator[FromDataPlane], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[ToDataPlane]:
        heard: list[FromDataPlane] = []
        said: asyncio.Queue[ToDataPlane | None] = asyncio.Queue()

        async def listen() -> None:
            async for message in request_iterator:
                heard.append(message)  # noqa: PERF401 - each is seen when it comes, not all at the end

        listening = asyncio.create_task(listen())
        context.add_done_callback(lambda _: listening.cancel())
        self.heard.append(heard)
        self.streams.append(said)
        yield ToDataPlane(registered=self.registered)
        while (message := await said.get()) is not None:
            yield message


@dataclass
class Executions:
    """What the link calls, noted."""

    done: list[tuple[str, ...]] = field(default_factory=list)
    holding: list[WorkflowExecutionIdentifier] = field(default_factory=list)
    failing: list[Exception] = field(default_factory=list)

    async def accept(self, lease: Lease) -> None:
        """Note the lease, or fail."""
        if self.failing:
            raise self.failing.pop(0)
        self.done.append(("accept", lease.id.name))
        self.holding.append(lease.id)

    async def abort(self, which: WorkflowExecutionIdentifier, cause: str) -> None:
        """Note the abort."""
        self.done.append(("abort", which.name, cause))

    async def revoke(self, which: WorkflowExecutionIdentifier) -> None:
        """Note the revocation."""
        self.done.append(("revoke", which.name))

    def held(self) -> list[WorkflowExecutionIdentifier]:
        """Return what was accepted."""
        return self.holding


@pytest.fixture
async def server() -> Server:
    """Return the control plane."""
    return Server()


@pytest.fixture
def executions() -> Executions:
    """Return who runs executions."""
    return Executions()


class Clock:
    """What a process sees of time; it can be told to have stood still."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        """Return seconds."""
        return time.monotonic() + self._ahead

    def stand_still(self, seconds: float) -> None:
        """Let time go on without the process."""
        self._ahead += seconds


@pytest.fixture
def clock() -> Clock:
    """Return the data plane's clock."""
    return Clock()


@pytest.fixture
async def link(server: Server, executions: Executions, clock: Clock) -> AsyncIterator[LinkClient]:
    """Connect a data plane to the control plane."""
    grpc_server = grpc.aio.server()
    add_DataPlaneLinkServicer_to_server(server, grpc_server)
    port = grpc_server.add_insecure_port("127.0.0.1:0")
    await grpc_server.start()
    async with open_channel(f"127.0.0.1:{port}") as channel:
        place = Place("north", labels=["gpu"], version="1.2.3")
        client = LinkClient(channel, executions, place, backoff=Backoff(0.01, 0.05), clock=clock)
        client.start()
        await until(lambda: bool(server.heard and server.heard[0]))
        yield client
        await client.stop()
    await grpc_server.stop(0)


@pytest.mark.usefixtures("link")
async def test_the_first_message_says_who_it_is(server: Server) -> None:
    """Register names the cluster, its labels and its version."""
    first = server.heard[0][0].register
    assert (first.cluster, list(first.labels), first.version, list(first.held)) == ("north", ["gpu"], "1.2.3", [])


@pytest.mark.usefixtures("link")
async def test_a_lease_is_acknowledged_once_it_is_taken_over(server: Server, executions: Executions) -> None:
    """The Ack has the lease's own epoch, and comes after the execution was accepted."""
    server.say(lease=Lease(id=execution("e1"), epoch=7))
    await until(lambda: "ack" in server.kinds())
    ack = server.heard[0][-1].ack
    assert (ack.id.name, ack.epoch) == ("e1", 7)
    assert executions.done == [("accept", "e1")]


@pytest.mark.parametrize("error", [UnavailableError("the disk is full"), RuntimeError("a defect")])
@pytest.mark.usefixtures("link")
async def test_what_cannot_be_taken_over_is_not_acknowledged(
    server: Server, executions: Executions, error: Exception
) -> None:
    """The stream lives on, and the next offer of the same execution is taken."""
    executions.failing.append(error)
    server.say(lease=Lease(id=execution("e1"), epoch=1))
    server.say(lease=Lease(id=execution("e1"), epoch=2))
    await until(lambda: "ack" in server.kinds())
    assert [message.ack.epoch for message in server.heard[0] if message.HasField("ack")] == [2]
    assert len(server.heard) == 1


@pytest.mark.usefixtures("link")
async def test_aborts_and_revocations_are_passed_on_in_order(server: Server, executions: Executions) -> None:
    """What the control plane says of one execution arrives as it was said."""
    server.say(lease=Lease(id=execution("e1")))
    server.say(abort=Abort(id=execution("e1"), cause="because"))
    server.say(revoke=Revoke(id=execution("e2")))
    await until(lambda: len(executions.done) == 3)
    assert executions.done == [("accept", "e1"), ("abort", "e1", "because"), ("revoke", "e2")]


async def test_heartbeats_follow_the_interval_of_the_control_plane(server: Server, executions: Executions) -> None:
    """A heartbeat goes out each time the interval has passed."""
    server.registered.heartbeat_interval.FromMilliseconds(10)
    grpc_server = grpc.aio.server()
    add_DataPlaneLinkServicer_to_server(server, grpc_server)
    port = grpc_server.add_insecure_port("127.0.0.1:0")
    await grpc_server.start()
    async with open_channel(f"127.0.0.1:{port}") as channel:
        client = LinkClient(channel, executions, Place("north"))
        client.start()
        await until(lambda: bool(server.heard) and server.kinds().count("heartbeat") >= 3)
        await client.stop()
    await grpc_server.stop(0)


async def test_a_broken_stream_is_opened_again_with_what_is_held(server: Server, link: LinkClient) -> None:
    """The second Register names the executions that were accepted, and ends are told on the new stream again."""
    server.say(lease=Lease(id=execution("e1"), epoch=1))
    await until(lambda: "ack" in server.kinds())
    await link.finished(execution("e0"))
    await until(lambda: "finished" in server.kinds())
    server.hang_up()
    await until(lambda: len(server.heard) == 2 and "finished" in server.kinds())
    assert [which.name for which in server.heard[1][0].register.held] == ["e1"]
    assert server.kinds(1) == ["register", "finished"]
    server.say(lease=Lease(id=execution("e2"), epoch=5))
    await until(lambda: "ack" in server.kinds())


async def test_an_end_while_disconnected_is_told_later(
    server: Server, executions: Executions, link: LinkClient
) -> None:
    """Nothing that ends between two streams is forgotten."""
    server.hang_up()
    await link.finished(execution("e9"))
    await until(lambda: len(server.heard) == 2 and "finished" in server.kinds())
    assert server.heard[1][-1].finished.id.name == "e9"
    assert executions.done == []


@pytest.mark.usefixtures("link")
async def test_who_stood_still_takes_nothing_that_it_was_offered_before(
    server: Server, executions: Executions, clock: Clock
) -> None:
    """A new stream is opened instead; an ordinary wait for work is no standstill."""
    server.registered.heartbeat_interval.FromSeconds(3600)
    server.hang_up()
    await until(lambda: len(server.heard) == 2 and bool(server.heard[1]))
    server.say(lease=Lease(id=execution("at once"), epoch=1))
    await until(lambda: "ack" in server.kinds())
    clock.stand_still(3600)
    server.say(lease=Lease(id=execution("in time"), epoch=1))
    await until(lambda: server.kinds().count("ack") == 2)
    clock.stand_still(3700)
    server.say(lease=Lease(id=execution("too late"), epoch=1))
    await until(lambda: len(server.heard) == 3 and bool(server.heard[2]))
    assert [which.name for which in server.heard[2][0].register.held] == ["at once", "in time"]
    server.say(lease=Lease(id=execution("anew"), epoch=2))
    await until(lambda: "ack" in server.kinds())
    assert executions.done == [("accept", "at once"), ("accept", "in time"), ("accept", "anew")]


@pytest.mark.usefixtures("link")
async def test_who_stood_still_connects_again_at_once(server: Server, clock: Clock, link: LinkClient) -> None:
    """It is its own heart that notices, so that nothing has to come first; and it can be ended all the same."""
    server.registered.heartbeat_interval.FromMilliseconds(10)
    server.hang_up()
    await until(lambda: len(server.heard) == 2 and "heartbeat" in server.kinds())
    clock.stand_still(60)
    await until(lambda: len(server.heard) == 3 and "heartbeat" in server.kinds())
    assert link.ailment() == ""
    assert link.is_connected
