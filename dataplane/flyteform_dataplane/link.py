"""The data plane's end of the link: takes leases and aborts, tells what it holds and what has ended."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from flyteform.errors import FlyteformError
from flyteform.proto.flyteform.v1.clusters_pb2 import StorageProfile
from flyteform.proto.flyteform.v1.link_pb2 import (
    Finished,
    FromDataPlane,
    Heartbeat,
    Register,
    ToDataPlane,
)
from flyteform.proto.flyteform.v1.link_pb2_grpc import DataPlaneLinkStub
from flyteform_dataplane.channel import Backoff
from flyteform_dataplane.health import ended
from flyteform_dataplane.heart import Heart
from flyteform_dataplane.intake import Executions, Intake

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence

    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

    from flyteform_dataplane.answers import Answers

__all__ = ["Executions", "LinkClient", "Place", "storage_profile"]

logger = logging.getLogger(__name__)

_DEFAULT_HEARTBEAT = 10.0  # seconds, when the control plane names no interval
_HEARTBEAT = FromDataPlane(heartbeat=Heartbeat())
_STOOD_STILL = "this process stood still: what it has not read may be another cluster's"
_REMEMBERED = 1000  # ends that are told again after a reconnection, as nothing acknowledges them


@dataclass(frozen=True, slots=True)
class Place:
    """What a data plane says of its cluster: `storage` is where it keeps data, `capacity` how much it takes at once."""

    cluster: str
    labels: Sequence[str] = ()
    version: str = ""
    kubernetes_version: str = ""
    storage: StorageProfile = field(default_factory=StorageProfile)
    capacity: int = 0
    keeps_resources: bool = False

    def register(self, held: Sequence[WorkflowExecutionIdentifier]) -> Register:
        """Return the message that introduces it."""
        return Register(
            cluster=self.cluster,
            labels=self.labels,
            held=held,
            version=self.version,
            storage=self.storage,
            kubernetes_version=self.kubernetes_version,
            capacity=self.capacity,
            keeps_resources=self.keeps_resources,
        )


class LinkClient:
    """Keeps one stream to the control plane open, and opens it again whenever it breaks."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        executions: Executions,
        place: Place,
        *,
        answers: Answers | None = None,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stub = DataPlaneLinkStub(channel)
        self._executions = executions
        self._place = place
        self._answers = answers
        self._intake = Intake(executions, answers.objects if answers is not None else None)
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._failures = 0
        self._outbox: asyncio.Queue[FromDataPlane] | None = None
        self._finished: OrderedDict[tuple[str, str, str], WorkflowExecutionIdentifier] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Connect, and stay connected."""
        self._task = asyncio.create_task(self._stay_connected(), name="data-plane link")

    async def stop(self) -> None:
        """Disconnect."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def is_connected(self) -> bool:
        """Whether the control plane has taken it in, and the stream has not ended since."""
        return self._outbox is not None

    def ailment(self) -> str:
        """Say that it does not try to connect any more, should a defect ever end it."""
        return ended(self._task, "the link")

    async def finished(self, execution: WorkflowExecutionIdentifier) -> None:
        """Tell the control plane, now or when it is reachable again, that the execution has ended."""
        self._finished[execution.project, execution.domain, execution.name] = execution
        if len(self._finished) > _REMEMBERED:
            self._finished.popitem(last=False)
        if self._outbox is not None:
            self._outbox.put_nowait(FromDataPlane(finished=Finished(id=execution)))

    async def _stay_connected(self) -> None:
        while True:
            try:
                reason = await self._connect()
            except grpc.aio.AioRpcError as error:
                reason = error.code().name
            self._outbox = None
            self._failures += 1
            level = logging.WARNING if self._failures == 1 else logging.DEBUG
            logger.log(level, "the link to the control plane is down (%s), connecting again", reason)
            await asyncio.sleep(self._backoff.pause(self._failures))

    async def _connect(self) -> str:
        """Follow one stream to its end; return why it has ended."""
        outbox: asyncio.Queue[FromDataPlane] = asyncio.Queue()
        outbox.put_nowait(FromDataPlane(register=self._place.register(self._executions.held())))
        call = self._stub.Connect(_drain(outbox))
        heart = Heart(partial(outbox.put_nowait, _HEARTBEAT), call.cancel, self._clock)
        try:
            await self._follow(call, outbox, heart)
        except asyncio.CancelledError:  # of this task, or of the call by its heart
            if not heart.stood_still or _is_cancelled():
                raise
        finally:
            heart.stop()
            call.cancel()
            await self._intake.close()
            if self._answers is not None:
                await self._answers.close()
        return _STOOD_STILL if heart.stood_still else "the control plane ended it"

    async def _follow(
        self, call: AsyncIterable[ToDataPlane], outbox: asyncio.Queue[FromDataPlane], heart: Heart
    ) -> None:
        async for message in call:
            if heart.stood_still:
                return
            if message.WhichOneof("message") == "registered":
                heart.start(message.registered.heartbeat_interval.ToTimedelta().total_seconds() or _DEFAULT_HEARTBEAT)
                self._registered(outbox)
            else:
                await self._take(message, outbox)

    def _registered(self, outbox: asyncio.Queue[FromDataPlane]) -> None:
        logger.info("linked to the control plane as cluster %r", self._place.cluster)
        self._failures = 0
        self._outbox = outbox
        for execution in self._finished.values():
            outbox.put_nowait(FromDataPlane(finished=Finished(id=execution)))

    async def _take(self, message: ToDataPlane, outbox: asyncio.Queue[FromDataPlane]) -> None:
        kind = message.WhichOneof("message")
        try:
            match kind:
                case "lease":
                    await self._intake.take(message.lease, lambda ack: outbox.put_nowait(FromDataPlane(ack=ack)))
                case "abort":
                    await self._intake.abort(message.abort.id, message.abort.cause)
                case "revoke":
                    await self._intake.revoke(message.revoke.id)
                case "sign_url" | "tail_logs" | "stop_tail" | "resource_sync" if self._answers is not None:
                    self._answers.take(message, outbox.put_nowait)
                case _:
                    logger.debug("the control plane sent a message that this version does not know")
        except FlyteformError as error:  # a lease without its Ack is offered again
            logger.warning("a message of the control plane (%s) can't be followed now: %s", kind, error.message)
        except Exception:
            logger.exception("a message of the control plane (%s) can't be followed", kind)


async def _drain(outbox: asyncio.Queue[FromDataPlane]) -> AsyncIterator[FromDataPlane]:
    while True:
        yield await outbox.get()


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


_PROVIDERS = {"s3": "aws", "gs": "gcp", "abfs": "azure"}


def storage_profile(prefix: str, environment: Mapping[str, str]) -> StorageProfile:
    """Return what a data plane says of its store; the region is what the store's client goes by."""
    scheme, _, rest = prefix.partition("://")
    provider = _PROVIDERS.get(scheme, scheme)
    if environment.get("AWS_ENDPOINT_URL") or environment.get("AWS_ENDPOINT"):
        provider = "s3-compatible" if scheme == "s3" else provider
    return StorageProfile(
        provider=provider,
        bucket="" if scheme == "file" else rest.partition("/")[0],
        region=environment.get("AWS_REGION", environment.get("AWS_DEFAULT_REGION", "")) if scheme == "s3" else "",
        prefix=prefix,
    )
