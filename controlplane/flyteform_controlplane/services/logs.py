"""What attempts print, asked of the data plane that has it."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from grpc import StatusCode

from flyteform.proto.flyteform.v1 import link_pb2, logs_pb2
from flyteform.proto.flyteform.v1.logs_pb2_grpc import LogServiceServicer
from flyteform_controlplane.domain.validation import check_scope, require
from flyteform_controlplane.errors import FailedPreconditionError, MissingEntityError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flyteform_controlplane.dispatch.questions import Questions
    from flyteform_controlplane.services.backend import Backend


class LogService(LogServiceServicer):
    """Serves `flyteform.v1.LogService`."""

    def __init__(self, backend: Backend, questions: Questions) -> None:
        self._backend = backend
        self._questions = questions

    async def TailLogs(
        self, request: logs_pb2.TailLogsRequest, _context: object
    ) -> AsyncIterator[logs_pb2.TailLogsResponse]:
        """Yield what an attempt has printed, and with `follow` what it prints until its end."""
        execution = request.node.execution_id
        check_scope(execution)
        require(execution.name, "name")
        require(request.node.node_id, "node_id")
        async with self._backend.database.reading() as tx:
            record = await self._backend.execution(tx, execution)
        if not record.cluster:
            raise FailedPreconditionError(
                f"execution {execution.name} runs nowhere yet", remedy="wait until a cluster has it"
            )
        question = link_pb2.TailLogs(
            execution=execution,
            node_id=request.node.node_id,
            retry_attempt=request.retry_attempt,
            lines=request.lines,
            follow=request.follow,
        )
        if request.HasField("item"):
            question.item = request.item
        answers = self._questions.all(record.cluster, link_pb2.ToDataPlane(tail_logs=question))
        async with aclosing(answers):
            async for answer in answers:
                if answer.log_lines.lines:
                    yield logs_pb2.TailLogsResponse(lines=answer.log_lines.lines)
                _check(answer.log_lines)


def _check(lines: link_pb2.LogLines) -> None:
    if lines.code == StatusCode.NOT_FOUND.value[0]:
        raise MissingEntityError(lines.message)
    if lines.code:
        raise UnavailableError(lines.message)
