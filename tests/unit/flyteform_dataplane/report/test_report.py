"""Events on their way to a control plane that is slow, refuses, breaks or knows no batches."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, Self

import grpc
import grpc.aio
import pytest
from flyteidl.admin import event_pb2
from flyteidl.core.execution_pb2 import WorkflowExecution
from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier
from flyteidl.service.admin_pb2_grpc import AdminServiceServicer, add_AdminServiceServicer_to_server

from flyteform.proto.flyteform.v1.events_pb2 import Event, EventStatus, ReportEventsRequest, ReportEventsResponse
from flyteform.proto.flyteform.v1.events_pb2_grpc import EventServiceServicer, add_EventServiceServicer_to_server
from flyteform_dataplane import report
from flyteform_dataplane.channel import Backoff, open_channel
from flyteform_dataplane.report import EventReporter
from support.attempts import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Start = Callable[..., Awaitable[str]]

StatusCode = grpc.StatusCode


def execution(name: str) -> WorkflowExecutionIdentifier:
    """Return an execution's identifier."""
    return WorkflowExecutionIdentifier(project="p", domain="d", name=name)


def event(name: str, number: int, size: int = 0) -> tuple[int, Event]:
    """Return an event that can be told from the others by its request id."""
    request = event_pb2.NodeExecutionEventRequest(request_id=f"{name}-{number}")
    request.event.id.node_id = "x" * size
    return number, Event(node=request)


class Server(EventServiceServicer, AdminServiceServicer):
    """A control plane that notes what arrives and answers as it is told."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.plain: list[str] = []
        self.answer: Callable[[str], StatusCode] = lambda _: StatusCode.OK
        self.broken: list[StatusCode] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def ReportEvents(self, request: ReportEventsRequest, context: Any) -> ReportEventsResponse:  # noqa: N802, D102 - gRPC's name
        self.batches.append([item.node.request_id for item in request.events])
        await self.gate.wait()
        if self.broken:
            await context.abort(self.broken.pop(0), "told to")
        codes = [self.answer(item.node.request_id) for item in request.events]
        return ReportEventsResponse(statuses=[EventStatus(code=code.value[0], message="told to") for code in codes])

    async def CreateNodeEvent(self, request: Any, context: Any) -> event_pb2.NodeExecutionEventResponse:  # noqa: N802, D102 - gRPC's name
        self.plain.append(request.request_id)
        code = self.answer(request.request_id)
        if code is not StatusCode.OK:
            await context.abort(code, "told to")
        return event_pb2.NodeExecutionEventResponse()


@pytest.fixture
async def server() -> Server:
    """Return the control plane."""
    return Server()


@pytest.fixture
async def start(server: Server) -> AsyncIterator[Start]:
    """Return what starts the server with some services, and stop what was started."""
    started: list[grpc.aio.Server] = []

    async def begin(*, events: bool = True, admin: bool = True, port: int = 0) -> str:
        grpc_server = grpc.aio.server()
        if events:
            add_EventServiceServicer_to_server(server, grpc_server)
        if admin:
            add_AdminServiceServicer_to_server(server, grpc_server)
        bound = grpc_server.add_insecure_port(f"127.0.0.1:{port}")
        await grpc_server.start()
        started.append(grpc_server)
        return f"127.0.0.1:{bound}"

    yield begin
    server.gate.set()
    for grpc_server in started:
        await grpc_server.stop(0)


def ended(number: int) -> tuple[int, Event]:
    """Return the last event of an execution."""
    end = Event(workflow=event_pb2.WorkflowExecutionEventRequest(request_id="end"))
    end.workflow.event.phase = WorkflowExecution.SUCCEEDED
    return number, end


class Sender:
    """A reporter and what it has acknowledged."""

    def __init__(self, address: str, gather: float = 0.0, ends: float = 0.0) -> None:
        self.channel = open_channel(address)
        self.reporter = EventReporter(self.channel, backoff=Backoff(0.01, 0.05), gather=gather, ends=ends)
        self.acknowledged: dict[str, list[int]] = {}
        self.reporter.on_acknowledged(self._note)

    async def _note(self, which: WorkflowExecutionIdentifier, sequence: int) -> None:
        self.acknowledged.setdefault(which.name, []).append(sequence)

    def last(self, name: str) -> int | None:
        """Return the highest number that was acknowledged."""
        return self.acknowledged.get(name, [None])[-1]

    async def __aenter__(self) -> Self:
        self.reporter.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.reporter.stop()
        await self.channel.close()


async def test_a_lone_event_leaves_at_once_and_the_rest_in_batches(server: Server, start: Start) -> None:
    """While the first event is on its way the others gather, and all of them travel together next."""
    async with Sender(await start()) as sender:
        server.gate.clear()
        sender.reporter.send(execution("a"), [event("a", 1)])
        await until(lambda: len(server.batches) == 1)
        for number in range(2, 50):
            sender.reporter.send(execution("a"), [event("a", number)])
            sender.reporter.send(execution("b"), [event("b", number)])
        server.gate.set()
        await until(lambda: sender.last("a") == sender.last("b") == 49)
    assert [len(batch) for batch in server.batches] == [1, 96]
    assert [name for name in server.batches[1] if name.startswith("a")] == [f"a-{n}" for n in range(2, 50)]
    assert sender.acknowledged["a"] == [1, 49]


async def test_already_there_and_refused_events_are_acknowledged(
    server: Server, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a repetition nor what can never be accepted holds up what follows; only the latter is an error."""
    answers = {"a-1": StatusCode.ALREADY_EXISTS, "a-2": StatusCode.FAILED_PRECONDITION, "a-3": StatusCode.NOT_FOUND}
    server.answer = lambda name: answers.get(name, StatusCode.OK)
    async with Sender(await start()) as sender:
        sender.reporter.send(execution("a"), [event("a", number) for number in range(1, 5)])
        await until(lambda: sender.last("a") == 4)
    assert len(server.batches) == 1
    levels = [record.levelname for record in caplog.records if "refused" in record.message]
    assert levels == ["WARNING", "WARNING", "ERROR"]


async def test_an_event_that_fails_for_now_keeps_its_place(server: Server, start: Start) -> None:
    """It is sent again with all that follows of its execution, while other executions go on."""
    failures = [StatusCode.UNAVAILABLE, StatusCode.INTERNAL]
    server.answer = lambda name: failures.pop(0) if name == "a-2" and failures else StatusCode.OK
    async with Sender(await start()) as sender:
        sender.reporter.send(execution("a"), [event("a", number) for number in range(1, 4)])
        sender.reporter.send(execution("b"), [event("b", 1)])
        await until(lambda: sender.last("a") == 3 and sender.last("b") == 1)
    assert server.batches == [["a-1", "a-2", "a-3", "b-1"], ["a-2", "a-3"], ["a-2", "a-3"]]
    assert sender.acknowledged["a"][0] == 1


async def test_a_broken_call_is_repeated_until_it_works(server: Server, start: Start) -> None:
    """Nothing is lost and nothing overtakes when whole calls fail."""
    server.broken = [StatusCode.UNAVAILABLE, StatusCode.UNKNOWN, StatusCode.DEADLINE_EXCEEDED]
    async with Sender(await start()) as sender:
        sender.reporter.send(execution("a"), [event("a", 1), event("a", 2)])
        await until(lambda: sender.last("a") == 2)
    assert server.batches == [["a-1", "a-2"]] * 4


async def test_a_control_plane_that_comes_later_gets_everything(
    server: Server, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """Events wait while nobody listens, and arrive when the control plane is there."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # bound, so nobody else's; not listened to
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        async with Sender(f"127.0.0.1:{port}") as sender:
            sender.reporter.send(execution("a"), [event("a", 1)])
            await until(lambda: any("can't be reported" in record.message for record in caplog.records))
            await start(port=port)
            await until(lambda: sender.last("a") == 1)
    assert server.batches == [["a-1"]]


async def test_a_stock_control_plane_gets_plain_calls(server: Server, start: Start) -> None:
    """Without the batch service every event is its own call, in order for each execution, with the same verdicts."""
    failures = [StatusCode.UNAVAILABLE]
    answers = {"a-1": StatusCode.ALREADY_EXISTS, "b-1": StatusCode.FAILED_PRECONDITION}
    server.answer = lambda name: failures.pop() if name == "a-2" and failures else answers.get(name, StatusCode.OK)
    async with Sender(await start(events=False)) as sender:
        sender.reporter.send(execution("a"), [event("a", number) for number in range(1, 4)])
        sender.reporter.send(execution("b"), [event("b", number) for number in range(1, 3)])
        await until(lambda: sender.last("a") == 3 and sender.last("b") == 2)
    assert [name for name in server.plain if name[0] == "a"] == ["a-1", "a-2", "a-2", "a-3"]
    assert [name for name in server.plain if name[0] == "b"] == ["b-1", "b-2"]


async def test_batches_are_bounded_in_number_and_size(
    server: Server, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch holds so many events, and so many bytes unless a single event is larger."""
    monkeypatch.setattr(report, "MAX_EVENTS", 10)
    monkeypatch.setattr(report, "MAX_BYTES", 1000)
    async with Sender(await start()) as sender:
        sender.reporter.send(execution("a"), [event("a", number) for number in range(25)])
        sender.reporter.send(
            execution("b"), [event("b", 1, size=5000), event("b", 2, size=600), event("b", 3, size=600)]
        )
        await until(lambda: sender.last("a") == 24 and sender.last("b") == 3)
    assert max(map(len, server.batches)) == 10
    assert [batch for batch in server.batches if batch[0].startswith("b")] == [["b-1"], ["b-2"], ["b-3"]]


async def test_a_batch_that_is_too_large_is_halved(server: Server, start: Start) -> None:
    """When the server refuses the size of a call, its halves are tried, and nothing is lost."""
    server.broken = [StatusCode.RESOURCE_EXHAUSTED]
    async with Sender(await start()) as sender:
        sender.reporter.send(execution("a"), [event("a", number) for number in range(4)])
        await until(lambda: sender.last("a") == 3)
    assert server.batches == [["a-0", "a-1", "a-2", "a-3"], ["a-0", "a-1"], ["a-2", "a-3"]]


async def test_a_dropped_execution_says_nothing_more(server: Server, start: Start) -> None:
    """What was queued of it is neither sent nor acknowledged, not even what was on its way; new events are sent."""
    async with Sender(await start()) as sender:
        server.gate.clear()
        sender.reporter.send(execution("b"), [event("b", 1)])
        await until(lambda: len(server.batches) == 1)
        sender.reporter.send(execution("a"), [event("a", 1), event("a", 2)])
        for name in ("a", "b"):
            sender.reporter.drop(execution(name))
        server.gate.set()
        sender.reporter.send(execution("a"), [event("a", 1)])
        await until(lambda: sender.last("a") == 1)
    assert server.batches == [["b-1"], ["a-1"]]
    assert sender.last("b") is None


@pytest.mark.parametrize("code", [StatusCode.ALREADY_EXISTS, StatusCode.FAILED_PRECONDITION])
async def test_only_a_new_event_that_is_known_is_worth_a_warning(
    server: Server, start: Start, caplog: pytest.LogCaptureFixture, code: StatusCode
) -> None:
    """Events sent again after a restart, or after a lost answer, may have arrived before: that is no trouble."""
    caplog.set_level("DEBUG", "flyteform_dataplane.report")
    server.answer = lambda _: code
    async with Sender(await start()) as sender:
        sender.reporter.send(execution("a"), [event("a", 1)], again=True)
        await until(lambda: sender.last("a") == 1)
        sender.reporter.send(execution("a"), [event("a", 2)])
        await until(lambda: sender.last("a") == 2)
        server.broken = [StatusCode.UNAVAILABLE]
        sender.reporter.send(execution("a"), [event("a", 3)])
        await until(lambda: sender.last("a") == 3)
    levels = [record.levelname for record in caplog.records if "refused" in record.message]
    assert levels == ["DEBUG", "WARNING", "DEBUG"]


async def test_what_follows_a_batch_is_gathered(server: Server, start: Start) -> None:
    """Events that come one by one after a batch leave together; the end of an execution takes them along at once."""
    async with Sender(await start(), gather=3600.0) as sender:
        sender.reporter.send(execution("a"), [event("a", 1)])
        await until(lambda: sender.last("a") == 1)
        for number in (2, 3):
            sender.reporter.send(execution("a"), [event("a", number)])
            await asyncio.sleep(0)
        assert server.batches == [["a-1"]]
        sender.reporter.send(execution("a"), [ended(4)])
        await until(lambda: sender.last("a") == 4)
    assert server.batches == [["a-1"], ["a-2", "a-3", ""]]


async def test_ends_leave_together(server: Server, start: Start) -> None:
    """Executions that end one soon after the other are told of in one batch, if they are to wait for each other."""
    async with Sender(await start(), gather=3600.0, ends=0.05) as sender:
        sender.reporter.send(execution("a"), [event("a", 1)])
        await until(lambda: sender.last("a") == 1)
        for name in ("b", "c"):
            sender.reporter.send(execution(name), [ended(1)])
            await asyncio.sleep(0)
        await until(lambda: sender.last("c") == 1)
    assert server.batches == [["a-1"], ["", ""]]


async def test_what_is_waited_for_is_sent_soon(server: Server, start: Start) -> None:
    """A hurry ends the gathering for all that is queued by then."""
    async with Sender(await start(), gather=3600.0) as sender:
        sender.reporter.send(execution("a"), [event("a", 1)])
        await until(lambda: sender.last("a") == 1)
        sender.reporter.send(execution("a"), [event("a", 2)])
        sender.reporter.hurry()
        sender.reporter.send(execution("a"), [event("a", 3)])
        await until(lambda: sender.last("a") == 3)
    assert server.batches == [["a-1"], ["a-2", "a-3"]]


async def test_an_observer_that_fails_stops_nothing(start: Start) -> None:
    """The next acknowledgement is told all the same."""
    async with Sender(await start()) as sender:

        async def fail(*_: object) -> None:
            raise ValueError

        sender.reporter.on_acknowledged(fail)
        for number in (1, 2):
            sender.reporter.send(execution("a"), [event("a", number)])
            await until(lambda number=number: sender.last("a") == number)


@pytest.mark.parametrize("steps", range(6))
async def test_it_stops_whenever_it_is_told_to(start: Start, steps: int) -> None:
    """Also when the order comes with news that end the gathering, at whichever step of the event loop that is."""
    sender = Sender(await start(), gather=3600.0)
    sender.reporter.start()
    sender.reporter.send(execution("a"), [event("a", 1)])
    await until(lambda: sender.last("a") == 1)
    end = Event(workflow=event_pb2.WorkflowExecutionEventRequest(request_id="end"))
    end.workflow.event.phase = WorkflowExecution.SUCCEEDED
    sender.reporter.send(execution("a"), [(2, end)])
    for _ in range(steps):
        await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await sender.reporter.stop()
    await sender.channel.close()
