"""One connected data plane: what is to be sent to it, in order, until one side ends the stream."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier
from grpc import StatusCode

from flyteform.proto.flyteform.v1 import link_pb2
from flyteform_controlplane.domain.times import now as present

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from flyteform_controlplane.domain.cluster_resources import Desired
    from flyteform_controlplane.domain.ports import ExecutionKey


# What may wait for one who asked; a link has no way to slow one answer down without all others.
_MOST_WAITING_BYTES: Final = 32 * 1024 * 1024
_TOO_FAST: Final = "there are more lines than are read: ask for the last ones only"


class Answers:
    """What comes in answer to a question, as far as somebody reads it."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._messages: asyncio.Queue[link_pb2.FromDataPlane | None] = asyncio.Queue()
        self._bytes = 0
        self._full = False

    def put(self, message: link_pb2.FromDataPlane) -> bool:
        """Take an answer; False if too much waits already, which ends the answers."""
        if not self._full:
            self._bytes += message.ByteSize()
            self._full = self._bytes > _MOST_WAITING_BYTES and not self._messages.empty()
            if self._full:
                code = StatusCode.RESOURCE_EXHAUSTED.value[0]
                end = link_pb2.LogLines(id=self._number, end=True, code=code, message=_TOO_FAST)
                message = link_pb2.FromDataPlane(log_lines=end)
            self._messages.put_nowait(message)
        return not self._full

    def end(self) -> None:
        """Say that the stream has ended."""
        self._messages.put_nowait(None)

    async def get(self) -> link_pb2.FromDataPlane | None:
        """Wait for the next answer; None when the stream has ended."""
        message = await self._messages.get()
        if message is not None:
            self._bytes -= message.ByteSize()
        return message


class Connection:
    """The sending half of a data plane's stream; `epoch` numbers the connections of its cluster."""

    def __init__(
        self,
        cluster: str,
        epoch: int,
        storage: str = "",
        *,
        keeps_resources: bool = False,
        now: Callable[[], datetime] = present,
    ) -> None:
        self.cluster = cluster
        self.epoch = epoch
        # Executions that it was told to abort.
        self.aborted: set[ExecutionKey] = set()
        # Where the data plane keeps what its executions make; empty for the control plane's own store.
        self.storage = storage
        # Whether the platform keeps resources in the cluster, and those that it was sent last.
        self.keeps_resources = keeps_resources
        self.wanted: Desired | None = None
        # Set at its end, from which on nothing is sent and nothing that comes counts.
        self.closed = asyncio.Event()
        self._now = now
        self._asked: dict[int, Answers] = {}
        self._messages: asyncio.Queue[tuple[link_pb2.ToDataPlane, datetime | None] | None] = asyncio.Queue()
        self._error: Exception | None = None

    @property
    def unsent(self) -> int:
        """How many messages wait for a data plane that is slow to take them."""
        return self._messages.qsize()

    def send(self, message: link_pb2.ToDataPlane, until: datetime | None = None) -> None:
        """Queue a message, not to be sent after a time; one for a closed stream is lost, as on a broken wire."""
        if not self.closed.is_set():
            self._messages.put_nowait((message, until))

    def abort(self, execution: ExecutionKey, cause: str) -> None:
        """Tell the data plane to end the execution."""
        self.aborted.add(execution)
        self.send(link_pb2.ToDataPlane(abort=link_pb2.Abort(id=identifier(execution), cause=cause)))

    def revoke(self, execution: ExecutionKey) -> None:
        """Tell the data plane that the execution is not its own."""
        self.send(link_pb2.ToDataPlane(revoke=link_pb2.Revoke(id=identifier(execution))))

    def close(self, error: Exception | None = None) -> None:
        """End the stream; with an error, that is what the data plane gets to see. What is not sent is dropped."""
        if not self.closed.is_set():
            self.closed.set()
            self._error = error
            while not self._messages.empty():
                self._messages.get_nowait()
            self._messages.put_nowait(None)
            for answers in self._asked.values():
                answers.end()

    @contextmanager
    def asking(self, number: int) -> Iterator[Answers]:
        """Give the answers to a question with this number, as they come."""
        answers = self._asked[number] = Answers(number)
        if self.closed.is_set():
            answers.end()
        try:
            yield answers
        finally:
            del self._asked[number]

    def answered(self, number: int, message: link_pb2.FromDataPlane) -> None:
        """Take an answer; one that nobody waits for is dropped, and lines that come faster than they are read are."""
        if number in self._asked and not self._asked[number].put(message):
            self.send(link_pb2.ToDataPlane(stop_tail=link_pb2.StopTail(id=number)))

    async def receive(self) -> link_pb2.ToDataPlane | None:
        """Wait for the next message to go out; None when the stream ends, and its error raised if it has one."""
        while (found := await self._messages.get()) is not None:
            message, until = found
            if until is None or self._now() < until:
                return message
        if self._error is not None:
            raise self._error
        return None


def identifier(execution: ExecutionKey) -> WorkflowExecutionIdentifier:
    """Return the message that names the execution."""
    return WorkflowExecutionIdentifier(project=execution.project, domain=execution.domain, name=execution.name)
