"""Answers to what clients ask about the data of executions: URLs, small contents, and what attempts print."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

import grpc

from flyteform.errors import FlyteformError, NotFoundError
from flyteform.proto.flyteform.v1.link_pb2 import FromDataPlane, LogLines
from flyteform_dataplane.signing import sign

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

    from flyteform.objects.ports import ObjectStore
    from flyteform.proto.flyteform.v1.link_pb2 import ResourceSync, SignURL, SyncReport, TailLogs, ToDataPlane

    Send = Callable[[FromDataPlane], None]

logger = logging.getLogger(__name__)

_AT_ONCE = 16
_LINES = 500  # in one message


class Logs(Protocol):
    """Where attempts' logs are read."""

    def tail(self, question: TailLogs) -> AsyncIterator[Sequence[str]]:
        """Yield lines in batches; `NotFoundError` if the attempt has no log here."""
        ...


class Resources(Protocol):
    """Who keeps what the platform wants in the cluster."""

    def sync(self, wanted: ResourceSync) -> AsyncIterator[SyncReport]:
        """Apply the resources until the cluster has all; yield how each try went."""
        ...


class Answers:
    """Answers questions beside each other; those of one connection end with it."""

    def __init__(self, objects: ObjectStore, *, logs: Logs | None = None, resources: Resources | None = None) -> None:
        self.objects = objects
        self._logs = logs
        self._resources = resources
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._syncing: asyncio.Task[None] | None = None

    def take(self, message: ToDataPlane, send: Send) -> None:
        """Begin to answer; returns at once."""
        match message.WhichOneof("message"):
            case "sign_url":
                self._begin(message.sign_url.id, self._sign(message.sign_url, send))
            case "tail_logs":
                self._begin(message.tail_logs.id, self._tail(message.tail_logs, send))
            case "stop_tail" if message.stop_tail.id in self._tasks:
                self._tasks[message.stop_tail.id].cancel()
            case "resource_sync":
                if self._syncing is not None:
                    self._syncing.cancel()
                self._syncing = asyncio.create_task(self._sync(message.resource_sync, send))
            case _:
                return

    async def close(self) -> None:
        """Stop answering: who asked asks again."""
        tasks = [*self._tasks.values(), *([self._syncing] if self._syncing is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._syncing = None

    def _begin(self, number: int, work: Coroutine[None, None, None]) -> None:
        task = self._tasks[number] = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._tasks.pop(number, None))

    async def _sign(self, question: SignURL, send: Send) -> None:
        async with self._slots:
            try:
                send(FromDataPlane(signed=await sign(self.objects, question)))
            except Exception:
                logger.exception("%s cannot be signed", question.uri)

    async def _tail(self, question: TailLogs, send: Send) -> None:
        end = LogLines(id=question.id, end=True)
        try:
            async for lines in self._lines(question):
                for start in range(0, len(lines), _LINES):
                    send(FromDataPlane(log_lines=LogLines(id=question.id, lines=lines[start : start + _LINES])))
        except NotFoundError as error:
            end.code, end.message = grpc.StatusCode.NOT_FOUND.value[0], error.message
        except FlyteformError as error:
            end.code, end.message = grpc.StatusCode.UNAVAILABLE.value[0], error.message
        except Exception:
            logger.exception("the log of %s cannot be read", question.node_id)
            end.code, end.message = grpc.StatusCode.INTERNAL.value[0], "the log cannot be read"
        send(FromDataPlane(log_lines=end))

    def _lines(self, question: TailLogs) -> AsyncIterator[Sequence[str]]:
        if self._logs is None:
            raise NotFoundError("this data plane keeps no logs")
        return self._logs.tail(question)

    async def _sync(self, wanted: ResourceSync, send: Send) -> None:
        if self._resources is None:
            return
        try:
            async for report in self._resources.sync(wanted):
                send(FromDataPlane(sync_report=report))
        except Exception:
            logger.exception("the resources of the platform cannot be kept")
