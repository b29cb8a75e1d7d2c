"""Sends events to the control plane: in order for each execution, in batches, again until they are acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

import grpc
import grpc.aio
from flyteidl.core.execution_pb2 import WorkflowExecution
from flyteidl.service.admin_pb2_grpc import AdminServiceStub

from flyteform.proto.flyteform.v1.events_pb2 import EventStatus, ReportEventsRequest, ReportEventsResponse
from flyteform.waiting import set_within
from flyteform_dataplane.channel import Backoff
from flyteform_dataplane.health import ended
from flyteform_dataplane.records import record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

    from flyteform.proto.flyteform.v1.events_pb2 import Event

    Acknowledged = Callable[[WorkflowExecutionIdentifier, int], Awaitable[None]]

logger = logging.getLogger(__name__)

MAX_EVENTS = 500
MAX_BYTES = 2 << 20  # half of what a gRPC server accepts by default
_TIMEOUT = 30.0  # seconds for one call
_HURRY = 0.02  # seconds that others have to join what is in a hurry
_ENDS = (WorkflowExecution.SUCCEEDED, WorkflowExecution.FAILED, WorkflowExecution.ABORTED, WorkflowExecution.TIMED_OUT)
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Verdict(Enum):
    """What an event's status means for the sender."""

    DONE = auto()
    REFUSED = auto()
    AGAIN = auto()


_DONE = {grpc.StatusCode.OK, grpc.StatusCode.ALREADY_EXISTS}  # the latter: it arrived before and the answer was lost
_AGAIN = {
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.UNKNOWN,
}
_KNOWN = {grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.FAILED_PRECONDITION}
_TOO_LARGE = {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT}


def judge(code: int) -> Verdict:
    """Return what a `google.rpc.Code` means: every code that no repetition can change is a refusal."""
    status = _CODES.get(code, grpc.StatusCode.UNKNOWN)
    if status in _DONE:
        return Verdict.DONE
    return Verdict.AGAIN if status in _AGAIN else Verdict.REFUSED


def _level(code: int, *, repeated: bool) -> int:
    """Return how bad a refusal is: of an event that had arrived before it is what has to be expected."""
    if _CODES.get(code) in _KNOWN:
        return logging.DEBUG if repeated else logging.WARNING
    return logging.ERROR


@dataclass(eq=False, slots=True)
class _Lane:
    """The events of one execution that are not acknowledged; they leave at the front only.

    Each is kept as a request of its own, serialized: such requests one after the other are one request of them all.
    """

    execution: WorkflowExecutionIdentifier
    events: deque[tuple[int, bytes]] = field(default_factory=deque)
    failures: int = 0
    not_before: float = 0.0
    repeated: int = 0  # events up to this number may have arrived before


@record
class _Parcel:
    lane: _Lane
    sequence: int
    request: bytes


class EventReporter:
    """Reports through `EventService`, or through FlyteAdmin's own calls where the control plane has no such service.

    While a batch is on its way, and for `gather` seconds after it has arrived, the next one fills: every batch costs
    the control plane a transaction, which on one machine is taken from the tasks. A lone event leaves at once, the
    end of an execution waits for `ends` seconds only, in which others may end, and what somebody waits for does not
    wait for long.
    A refusal that repeating can't change (the execution is terminal, the event is malformed) is logged and counts as
    acknowledged: nothing would ever get past it.
    """

    def __init__(
        self, channel: grpc.aio.Channel, *, backoff: Backoff | None = None, gather: float = 0.1, ends: float = 0.0
    ) -> None:
        self._report: grpc.aio.UnaryUnaryMultiCallable[bytes, ReportEventsResponse] = channel.unary_unary(
            "/flyteform.v1.EventService/ReportEvents", response_deserializer=ReportEventsResponse.FromString
        )
        self._admin = AdminServiceStub(channel)  # type: ignore[no-untyped-call] # flyteidl's stubs have no types
        self._backoff = backoff or Backoff()
        self._lanes: OrderedDict[tuple[str, str, str], _Lane] = OrderedDict()
        self._observers: list[Acknowledged] = []
        self._acknowledged: dict[tuple[str, str, str], tuple[WorkflowExecutionIdentifier, int]] = {}
        self._gather = gather
        self._ends = ends
        self._work = asyncio.Event()
        self._urgent = asyncio.Event()
        self._hurrying: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()
        self._batched = True
        self._failures = 0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to send."""
        self._tasks = [asyncio.create_task(self._send_all()), asyncio.create_task(self._tell_all())]

    def ailment(self) -> str:
        """Say that nothing is sent any more, should a defect ever end it."""
        return next(filter(None, (ended(task, "the reporting of events") for task in self._tasks)), "")

    async def stop(self) -> None:
        """Stop sending; what is not acknowledged has to be sent again by whoever starts next."""
        if self._hurrying is not None:
            self._hurrying.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def send(
        self, execution: WorkflowExecutionIdentifier, events: Sequence[tuple[int, Event]], *, again: bool = False
    ) -> None:
        """Queue events, each with its growing sequence number; returns at once.

        `again` says that they may have arrived before, so that it is no surprise if they did.
        """
        if events:
            lane = self._lanes.setdefault(_key(execution), _Lane(execution))
            requests = [
                (sequence, ReportEventsRequest(events=[event]).SerializeToString()) for sequence, event in events
            ]
            lane.events.extend(requests)
            if again:
                lane.repeated = events[-1][0]
            self._work.set()
            # The end is the last of them.
            if any(event.workflow.event.phase in _ENDS for _, event in reversed(events)):
                self._hasten(self._ends)

    def hurry(self) -> None:
        """Send soon what is queued, with what many others in a hurry queue meanwhile."""
        self._hasten(_HURRY)

    def drop(self, execution: WorkflowExecutionIdentifier) -> None:
        """Send nothing more of what is queued for the execution; nobody is told of its acknowledgement."""
        lane = self._lanes.pop(_key(execution), None)
        if lane is not None:
            lane.events.clear()  # so that the answer to a batch on its way finds nothing to settle
        self._acknowledged.pop(_key(execution), None)

    def on_acknowledged(self, observe: Acknowledged) -> None:
        """Call `observe` with the highest sequence number up to which all events are acknowledged."""
        self._observers.append(observe)

    def _hasten(self, seconds: float) -> None:
        if not seconds:
            self._urgent.set()
        elif self._hurrying is None:
            self._hurrying = asyncio.get_running_loop().call_later(seconds, self._hurried)

    def _hurried(self) -> None:
        self._hurrying = None
        self._urgent.set()

    async def _send_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._urgent.clear()
            batch = self._take(loop.time())
            if batch:
                await self._deliver(batch)
                await set_within(self._urgent, self._gather)
                continue
            self._work.clear()
            waits = [lane.not_before - loop.time() for lane in self._lanes.values() if lane.events]
            await set_within(self._work, max(0.0, min(waits)) if waits else None)

    def _take(self, now: float) -> list[_Parcel]:
        """Return the next batch; its events stay queued until they are settled."""
        batch: list[_Parcel] = []
        size = 0
        for key in list(self._lanes):
            lane = self._lanes[key]
            if lane.not_before > now:
                continue
            for sequence, request in lane.events:
                size += len(request)
                if batch and (size > MAX_BYTES or len(batch) == MAX_EVENTS):
                    return batch
                batch.append(_Parcel(lane, sequence, request))
            self._lanes.move_to_end(key)  # a busy execution must not keep the others waiting
        return batch

    async def _deliver(self, batch: Sequence[_Parcel]) -> None:
        try:
            statuses = await (self._together(batch) if self._batched else self._one_by_one(batch))
        except grpc.aio.AioRpcError as error:
            await self._undelivered(batch, error)
            return
        self._failures = 0
        self._settle(batch, statuses)

    async def _undelivered(self, batch: Sequence[_Parcel], error: grpc.aio.AioRpcError) -> None:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED and self._batched:
            logger.info("the control plane takes no batches of events, they go one by one")
            self._batched = False
        elif error.code() in _TOO_LARGE and len(batch) > 1:
            middle = len(batch) // 2
            await self._deliver(batch[:middle])
            await self._deliver(batch[middle:])
        elif judge(error.code().value[0]) is Verdict.REFUSED:
            self._settle(batch, [EventStatus(code=error.code().value[0], message=error.details() or "")] * len(batch))
        else:
            for parcel in batch:  # it may be the answer only that was lost
                parcel.lane.repeated = max(parcel.lane.repeated, parcel.sequence)
            self._failures += 1
            level = logging.WARNING if self._failures == 1 else logging.DEBUG
            logger.log(level, "events can't be reported now (%s), trying again", error.code().name)
            await asyncio.sleep(self._backoff.pause(self._failures))

    async def _together(self, batch: Sequence[_Parcel]) -> Sequence[EventStatus]:
        answer = await self._report(b"".join(parcel.request for parcel in batch), timeout=_TIMEOUT)
        missing = [EventStatus(code=grpc.StatusCode.UNKNOWN.value[0])] * (len(batch) - len(answer.statuses))
        return [*answer.statuses, *missing]

    async def _one_by_one(self, batch: Sequence[_Parcel]) -> Sequence[EventStatus]:
        by_lane: dict[int, list[int]] = {}
        for index, parcel in enumerate(batch):
            by_lane.setdefault(id(parcel.lane), []).append(index)
        statuses = [EventStatus(code=grpc.StatusCode.ABORTED.value[0]) for _ in batch]

        async def walk(indexes: Sequence[int]) -> None:
            for index in indexes:
                statuses[index] = await self._plain(ReportEventsRequest.FromString(batch[index].request).events[0])
                if judge(statuses[index].code) is Verdict.AGAIN:
                    return  # what follows must not overtake it

        await asyncio.gather(*(walk(indexes) for indexes in by_lane.values()))
        return statuses

    async def _plain(self, event: Event) -> EventStatus:
        calls = {
            "workflow": self._admin.CreateWorkflowEvent,
            "node": self._admin.CreateNodeEvent,
            "task": self._admin.CreateTaskEvent,
        }
        kind = event.WhichOneof("event")
        if kind is None:
            return EventStatus(code=grpc.StatusCode.INVALID_ARGUMENT.value[0], message="the event is empty")
        try:
            await calls[kind](getattr(event, kind), timeout=_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            return EventStatus(code=error.code().value[0], message=error.details() or "")
        return EventStatus()

    def _settle(self, batch: Sequence[_Parcel], statuses: Sequence[EventStatus]) -> None:
        held_up: set[_Lane] = set()
        settled: dict[_Lane, int] = {}
        for parcel, status in zip(batch, statuses, strict=False):
            lane = parcel.lane
            if lane in held_up or not lane.events or lane.events[0][0] != parcel.sequence:
                continue
            code = status.code
            if code and judge(code) is Verdict.AGAIN:
                held_up.add(lane)
                self._hold(lane, status)
                continue
            if code:
                level = _level(code, repeated=parcel.sequence <= lane.repeated)
                logger.log(level, "the control plane refused an event of %s: %s", lane.execution.name, status.message)
            lane.events.popleft()
            lane.failures = 0
            settled[lane] = parcel.sequence
        for lane, sequence in settled.items():
            self._acknowledge(lane, sequence)

    def _hold(self, lane: _Lane, status: EventStatus) -> None:
        lane.failures += 1
        lane.not_before = asyncio.get_running_loop().time() + self._backoff.pause(lane.failures)
        logger.warning("an event of %s was not accepted (%s), trying again", lane.execution.name, status.message)

    def _acknowledge(self, lane: _Lane, sequence: int) -> None:
        key = _key(lane.execution)
        self._acknowledged[key] = (lane.execution, sequence)
        self._news.set()
        if not lane.events:
            self._lanes.pop(key, None)

    async def _tell_all(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            news, self._acknowledged = self._acknowledged, {}
            for execution, sequence in news.values():
                for observe in self._observers:
                    await self._tell(observe, execution, sequence)

    async def _tell(self, observe: Acknowledged, execution: WorkflowExecutionIdentifier, sequence: int) -> None:
        try:
            await observe(execution, sequence)
        except Exception:
            logger.exception("an observer of acknowledged events failed for %s", execution.name)


def _key(execution: WorkflowExecutionIdentifier) -> tuple[str, str, str]:
    return execution.project, execution.domain, execution.name
