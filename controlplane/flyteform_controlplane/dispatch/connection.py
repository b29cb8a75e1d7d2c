"""One connected data plane: what is to be sent to it, in order, until one side ends the stream."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

from flyteform.proto.flyteform.v1 import link_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flyteform_controlplane.domain.cluster_resources import Desired
    from flyteform_controlplane.domain.ports import ExecutionKey


class Connection:
    """The sending half of a data plane's stream; `epoch` numbers the connections of its cluster."""

    def __init__(self, cluster: str, epoch: int, storage: str = "", *, keeps_resources: bool = False) -> None:
        self.cluster = cluster
        self.epoch = epoch
        # Executions that it was told to abort.
        self.aborted: set[ExecutionKey] = set()
        # Where the data plane keeps what its executions make; empty for the control plane's own store.
        self.storage = storage
        # Whether the platform keeps resources in the cluster, and those that it was sent last.
        self.keeps_resources = keeps_resources
        self.wanted: Desired | None = None
        self._asked: dict[int, asyncio.Queue[link_pb2.FromDataPlane | None]] = {}
        self._messages: asyncio.Queue[link_pb2.ToDataPlane | None] = asyncio.Queue()
        self._closed = False
        self._error: Exception | None = None

    def send(self, message: link_pb2.ToDataPlane) -> None:
        """Queue a message; one for a closed stream is lost, as one on a broken wire is."""
        if not self._closed:
            self._messages.put_nowait(message)

    def abort(self, execution: ExecutionKey, cause: str) -> None:
        """Tell the data plane to end the execution."""
        self.aborted.add(execution)
        self.send(link_pb2.ToDataPlane(abort=link_pb2.Abort(id=identifier(execution), cause=cause)))

    def revoke(self, execution: ExecutionKey) -> None:
        """Tell the data plane that the execution is not its own."""
        self.send(link_pb2.ToDataPlane(revoke=link_pb2.Revoke(id=identifier(execution))))

    def close(self, error: Exception | None = None) -> None:
        """End the stream; with an error, that is what the data plane gets to see."""
        if not self._closed:
            self._closed = True
            self._error = error
            self._messages.put_nowait(None)
            for answers in self._asked.values():
                answers.put_nowait(None)

    @contextmanager
    def asking(self, number: int) -> Iterator[asyncio.Queue[link_pb2.FromDataPlane | None]]:
        """Give a queue of the answers to a question with this number; None in it says that the stream has ended."""
        answers: asyncio.Queue[link_pb2.FromDataPlane | None] = asyncio.Queue()
        self._asked[number] = answers
        if self._closed:
            answers.put_nowait(None)
        try:
            yield answers
        finally:
            del self._asked[number]

    def answered(self, number: int, message: link_pb2.FromDataPlane) -> None:
        """Take an answer; one that nobody waits for is dropped."""
        if number in self._asked:
            self._asked[number].put_nowait(message)

    async def receive(self) -> link_pb2.ToDataPlane | None:
        """Wait for the next message to go out; None when the stream ends, and its error raised if it has one."""
        message = await self._messages.get()
        if message is None and self._error is not None:
            raise self._error
        return message


def identifier(execution: ExecutionKey) -> WorkflowExecutionIdentifier:
    """Return the message that names the execution."""
    return WorkflowExecutionIdentifier(project=execution.project, domain=execution.domain, name=execution.name)
