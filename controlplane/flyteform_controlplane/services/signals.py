"""Signals: the values that gates wait for (contract 1.7)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flyteidl.admin import signal_pb2
from flyteidl.core.identifier_pb2 import SignalIdentifier, WorkflowExecutionIdentifier
from flyteidl.service.signal_pb2_grpc import SignalServiceServicer

from flyteform.compiler import literal_matches
from flyteform_controlplane.domain.filters import Entity
from flyteform_controlplane.domain.paging import next_token, parse_query
from flyteform_controlplane.domain.records import SignalRecord
from flyteform_controlplane.domain.times import now
from flyteform_controlplane.domain.validation import check_execution, require
from flyteform_controlplane.errors import InvalidArgumentError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.services.backend import Backend


class SignalService(SignalServiceServicer):
    """Serves the SignalService."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def GetOrCreateSignal(
        self, request: signal_pb2.SignalGetOrCreateRequest, _context: object
    ) -> signal_pb2.Signal:
        """Return the signal; the data plane makes it when a gate is reached."""
        _check(request.id)
        require(request.HasField("type"), "type")
        async with self._backend.database.transaction() as tx:
            key = request.id.execution_id
            await self._backend.store.signals.lock(tx, key.project, key.domain, key.name, request.id.signal_id)
            known = await self._get(tx, request.id)
            if known is not None:
                return _message(known)
            await self._backend.execution(tx, request.id.execution_id)
            name = request.id.execution_id
            record = SignalRecord(
                execution_project=name.project,
                execution_domain=name.domain,
                execution_name=name.name,
                signal_id=request.id.signal_id,
                type=request.type,
            )
            await self._backend.store.signals.add(tx, record)
        return _message(record)

    async def ListSignals(self, request: signal_pb2.SignalListRequest, _context: object) -> signal_pb2.SignalList:
        """Return a page of an execution's signals."""
        name = request.workflow_execution_id
        check_execution(name)
        query = parse_query(request, Entity.SIGNAL)
        where: dict[str, str | int | None] = {
            "execution_project": name.project,
            "execution_domain": name.domain,
            "execution_name": name.name,
        }
        async with self._backend.database.reading() as tx:
            rows = await self._backend.store.signals.page(tx, query, where)
        return signal_pb2.SignalList(signals=[_message(row) for row in rows], token=next_token(query, rows))

    async def SetSignal(self, request: signal_pb2.SignalSetRequest, _context: object) -> signal_pb2.SignalSetResponse:
        """Give the signal its value, or another one; it must be of the declared type."""
        _check(request.id)
        require(request.HasField("value"), "value")
        async with self._backend.database.transaction() as tx:
            known = await self._get(tx, request.id)
            if known is None:
                raise InvalidArgumentError(f"failed to validate that signal [{request.id.signal_id}] exists")
            if not literal_matches(request.value, known.type):
                raise InvalidArgumentError(f"the value is not of the type of signal [{request.id.signal_id}]")
            changed = replace(known, value=request.value, updated_at=now())
            await self._backend.store.signals.save_many(tx, [changed])
        return signal_pb2.SignalSetResponse()

    async def _get(self, tx: AsyncConnection, identifier: SignalIdentifier) -> SignalRecord | None:
        name = identifier.execution_id
        key = (name.project, name.domain, name.name, identifier.signal_id)
        return await self._backend.store.signals.get(tx, *key)


def _check(identifier: SignalIdentifier) -> None:
    check_execution(identifier.execution_id)
    require(identifier.signal_id, "signal_id")


def _message(record: SignalRecord) -> signal_pb2.Signal:
    name = WorkflowExecutionIdentifier(
        project=record.execution_project, domain=record.execution_domain, name=record.execution_name
    )
    return signal_pb2.Signal(
        id=SignalIdentifier(signal_id=record.signal_id, execution_id=name), type=record.type, value=record.value
    )
