"""A control plane that leases and listens: all that an operator talks to, without a database behind it."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from flyteidl.core.execution_pb2 import NodeExecution, WorkflowExecution

from flyteform.proto.flyteform.v1 import events_pb2, link_pb2
from flyteform.proto.flyteform.v1.events_pb2_grpc import EventServiceServicer, add_EventServiceServicer_to_server
from flyteform.proto.flyteform.v1.link_pb2_grpc import DataPlaneLinkServicer, add_DataPlaneLinkServicer_to_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

    from flyteform.proto.flyteform.v1.link_pb2 import FromDataPlane, Lease, ToDataPlane

TERMINAL = (WorkflowExecution.SUCCEEDED, WorkflowExecution.FAILED, WorkflowExecution.ABORTED)
_HEARTBEAT = 1.0
_TTL = 3.0
_OPTIONS = (("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20))


class LeasingControl(DataPlaneLinkServicer, EventServiceServicer):
    """Leases what it is given to whoever is linked, keeps what it is told, and offers again what was lost."""

    def __init__(self) -> None:
        self.address = ""
        # Ends of executions and of their nodes: how often each was told first, by name.
        self.ends: dict[str, list[int]] = {}
        self.node_ends: Counter[tuple[str, str]] = Counter()
        self.failures: dict[str, str] = {}
        self.finished: set[str] = set()
        self.events = 0
        self.connections = 0
        self.reports: list[link_pb2.SyncReport] = []
        self._wanted: link_pb2.ResourceSync | None = None
        self._seen: set[bytes] = set()
        self._leases: dict[str, Lease] = {}
        self._causes: dict[str, str] = {}
        self._held: set[str] = set()
        self._outbox: asyncio.Queue[ToDataPlane | None] | None = None
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[LeasingControl]:
        """Listen on a free port."""
        server = grpc.aio.server(options=_OPTIONS)
        add_DataPlaneLinkServicer_to_server(self, server)  # type: ignore[no-untyped-call]
        add_EventServiceServicer_to_server(self, server)  # type: ignore[no-untyped-call]
        self.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        offering = asyncio.create_task(self._offer_again())
        try:
            yield self
        finally:
            offering.cancel()
            await server.stop(None)

    def offer(self, leases: Iterable[Lease]) -> None:
        """Lease executions, now or when somebody is linked."""
        for lease in leases:
            self._leases[lease.id.name] = lease
            self._send(link_pb2.ToDataPlane(lease=lease))

    def abort(self, name: str, cause: str) -> None:
        """Ask for the end of an execution, now and of whoever is linked later."""
        self._causes[name] = cause
        message = link_pb2.Abort(id=self._leases[name].id, cause=cause)
        self._send(link_pb2.ToDataPlane(abort=message))

    def revoke(self, name: str) -> None:
        """Take an execution away: whoever is linked later and holds it is told so too."""
        message = link_pb2.Revoke(id=self._leases.pop(name).id)
        self._held.discard(name)
        self._send(link_pb2.ToDataPlane(revoke=message))

    def sync(self, wanted: link_pb2.ResourceSync) -> None:
        """Say what the platform wants in the cluster, now and to whoever is linked later."""
        self._wanted = wanted
        self._send(link_pb2.ToDataPlane(resource_sync=wanted))

    @property
    def phases(self) -> dict[str, int]:
        """How each execution has ended that has."""
        return {name: ends[-1] for name, ends in self.ends.items()}

    async def until_ended(self, names: Iterable[str], seconds: float) -> None:
        """Wait until all these executions have ended and are given back."""
        wanted = set(names)
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: wanted <= self.finished)
        except TimeoutError:
            left = sorted(wanted - self.finished)
            raise AssertionError(f"{len(left)} executions have not ended: {left[:10]}") from None

    async def Connect(  # noqa: N802 - gRPC's name
        self,
        request_iterator: AsyncIterator[FromDataPlane],
        context: Any,  # noqa: ARG002 - gRPC's form
    ) -> AsyncIterator[ToDataPlane]:
        """Speak with the one who is linked; a newer connection ends the older."""
        first = await anext(request_iterator)
        self.connections += 1
        registered = link_pb2.Registered(epoch=self.connections)
        registered.heartbeat_interval.FromMilliseconds(round(_HEARTBEAT * 1000))
        if self._outbox is not None:
            self._outbox.put_nowait(None)
        outbox = self._outbox = asyncio.Queue()
        outbox.put_nowait(link_pb2.ToDataPlane(registered=registered))
        if self._wanted is not None:
            outbox.put_nowait(link_pb2.ToDataPlane(resource_sync=self._wanted))
        self._reconcile({held.name: held for held in first.register.held})
        listening = asyncio.create_task(self._listen(request_iterator, outbox))
        try:
            while (message := await outbox.get()) is not None:
                yield message
        finally:
            listening.cancel()

    def _reconcile(self, held: Mapping[str, WorkflowExecutionIdentifier]) -> None:
        """Say what the data plane has missed: what it shall begin, end, and give back."""
        self._held = set(held)
        for name, lease in self._leases.items():
            if name not in held and name not in self.finished:
                self._send(link_pb2.ToDataPlane(lease=lease))
        for name, identifier in held.items():
            if name not in self._leases:
                self._send(link_pb2.ToDataPlane(revoke=link_pb2.Revoke(id=identifier)))
            elif name in self._causes:
                self._send(link_pb2.ToDataPlane(abort=link_pb2.Abort(id=identifier, cause=self._causes[name])))

    async def ReportEvents(  # noqa: N802 - gRPC's name
        self,
        request: events_pb2.ReportEventsRequest,
        context: Any,  # noqa: ARG002 - gRPC's form
    ) -> events_pb2.ReportEventsResponse:
        """Take all events; those that were told before are no news."""
        for event in request.events:
            self._take(event)
        async with self._changed:
            self._changed.notify_all()
        return events_pb2.ReportEventsResponse(statuses=[events_pb2.EventStatus() for _ in request.events])

    def _take(self, event: events_pb2.Event) -> None:
        self.events += 1
        match event.WhichOneof("event"):
            case "workflow":
                told = event.workflow.event
                name = told.execution_id.name
                ends = self.ends.setdefault(name, []) if told.phase in TERMINAL else []
                if told.phase in TERMINAL and told.phase not in ends:
                    ends.append(told.phase)
                    self.failures[name] = told.error.message
            case "node":
                node = event.node.event
                if node.phase == NodeExecution.SUCCEEDED:
                    self.node_ends[node.id.execution_id.name, node.id.node_id] += 1

    async def _listen(self, requests: AsyncIterator[FromDataPlane], outbox: asyncio.Queue[ToDataPlane | None]) -> None:
        async for message in requests:
            match message.WhichOneof("message"):
                case "ack":
                    self._held.add(message.ack.id.name)
                case "sync_report":
                    self.reports.append(message.sync_report)
                case "finished":
                    self.finished.add(message.finished.id.name)
                    async with self._changed:
                        self._changed.notify_all()
        outbox.put_nowait(None)

    async def _offer_again(self) -> None:
        """Lease again what nobody acknowledges: its lease has run out."""
        offered: set[str] = set()
        while True:
            await asyncio.sleep(_TTL)
            missing = self._leases.keys() - self._held - self.finished
            for name in missing & offered:
                self._send(link_pb2.ToDataPlane(lease=self._leases[name]))
            offered = missing

    def _send(self, message: ToDataPlane) -> None:
        if self._outbox is not None:
            self._outbox.put_nowait(message)
