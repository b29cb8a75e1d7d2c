"""States of declarations, beside FlyteIDL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform.proto.flyteform.v1 import state_pb2
from flyteform.proto.flyteform.v1.state_pb2_grpc import StateServiceServicer
from flyteform_controlplane.domain.filters import Query, Sort
from flyteform_controlplane.domain.paging import next_token, page_offset
from flyteform_controlplane.domain.states import (
    KEPT_DOCUMENTS,
    StateDocumentRecord,
    StateRecord,
    locked,
    renewed,
    unlocked,
    written,
)
from flyteform_controlplane.domain.times import now, to_timestamp
from flyteform_controlplane.domain.validation import MAX_NAME_LENGTH, check_scope, require
from flyteform_controlplane.errors import FailedPreconditionError, InvalidArgumentError, MissingEntityError

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.services.backend import Backend

_MAX_ROWS = 100


class StateService(StateServiceServicer):
    """Serves `flyteform.v1.StateService`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def GetState(self, request: state_pb2.GetStateRequest, _context: object) -> state_pb2.GetStateResponse:
        """Return the last document, or one that is still kept."""
        key = _key(request.id)
        async with self._backend.database.reading() as tx:
            state = await self._backend.store.states.get(tx, *key)
            serial = request.serial or (state.serial if state is not None else 0)
            found = await self._backend.store.state_documents.get(tx, *key, serial)
        if found is None:
            which = f" with serial {request.serial}" if request.serial else ""
            raise MissingEntityError(f"no state {':'.join(key)}{which} is kept here")
        created = to_timestamp(found.created_at)
        return state_pb2.GetStateResponse(document=found.document, serial=found.serial, created_at=created)

    async def PutState(self, request: state_pb2.PutStateRequest, _context: object) -> state_pb2.PutStateResponse:
        """Keep a document as the last one, and forget the oldest."""
        key = _key(request.id)
        documents = self._backend.store.state_documents
        async with self._backend.database.transaction() as tx:
            state = await self._held(tx, key)
            if request.serial == state.serial and state.fence == request.fence:
                last = await documents.get(tx, *key, state.serial)
                if last is not None and last.document == request.document:
                    return state_pb2.PutStateResponse()
            state = written(state, request.fence, request.serial, request.document, now())
            if request.HasField("ttl"):
                state = renewed(state, request.fence, request.ttl.ToTimedelta(), now())
            await self._backend.store.states.save_many(tx, [state])
            row = StateDocumentRecord(
                project=state.project,
                domain=state.domain,
                name=state.name,
                serial=request.serial,
                document=request.document,
            )
            await documents.add(tx, row)
            await self._forget(tx, state)
        return state_pb2.PutStateResponse()

    async def LockState(self, request: state_pb2.LockStateRequest, _context: object) -> state_pb2.LockStateResponse:
        """Take the lock, or say who holds it."""
        key = _key(request.id)
        _check_text(request.token, "token")
        _check_text(request.holder, "holder")
        rows = self._backend.store.states
        async with self._backend.database.transaction() as tx:
            await self._check_place(tx, request.id)
            await rows.lock(tx, *key)
            known = await rows.get(tx, *key)
            state = known or StateRecord(project=key[0], domain=key[1], name=key[2])
            taken = locked(state, request.token, request.holder, request.ttl.ToTimedelta(), now())
            if taken is None:
                return state_pb2.LockStateResponse(granted=False, lock=_lock(state))
            if known is None:
                await rows.add(tx, taken)
            else:
                await rows.save_many(tx, [taken])
        return state_pb2.LockStateResponse(granted=True, fence=taken.fence, lock=_lock(taken))

    async def RenewStateLock(
        self, request: state_pb2.RenewStateLockRequest, _context: object
    ) -> state_pb2.RenewStateLockResponse:
        """Let the lock last longer."""
        key = _key(request.id)
        async with self._backend.database.transaction() as tx:
            state = renewed(await self._held(tx, key), request.fence, request.ttl.ToTimedelta(), now())
            await self._backend.store.states.save_many(tx, [state])
        return state_pb2.RenewStateLockResponse()

    async def UnlockState(
        self, request: state_pb2.UnlockStateRequest, _context: object
    ) -> state_pb2.UnlockStateResponse:
        """Give the lock back, or take it from its holder."""
        key = _key(request.id)
        async with self._backend.database.transaction() as tx:
            state = await self._backend.store.states.get(tx, *key)
            if state is not None:
                free = unlocked(state, request.fence, force=request.force)
                await self._backend.store.states.save_many(tx, [free])
        return state_pb2.UnlockStateResponse()

    async def ListStates(self, request: state_pb2.ListStatesRequest, _context: object) -> state_pb2.ListStatesResponse:
        """Return a page of states by name."""
        check_scope(request)
        query = Query(
            sort=Sort("name", ascending=True),
            limit=min(request.limit or _MAX_ROWS, _MAX_ROWS),
            offset=page_offset(request.token),
        )
        where = {"project": request.project, "domain": request.domain}
        async with self._backend.database.reading() as tx:
            rows = await self._backend.store.states.page(tx, query, where)
        at = now()
        return state_pb2.ListStatesResponse(states=[_summary(row, at) for row in rows], token=next_token(query, rows))

    async def _held(self, tx: AsyncConnection, key: tuple[str, str, str]) -> StateRecord:
        """Return the state, locked in the database; what was never locked is held by nobody."""
        await self._backend.store.states.lock(tx, *key)
        state = await self._backend.store.states.get(tx, *key)
        if state is None:
            raise FailedPreconditionError("nobody holds the lock of this state", remedy="lock it first")
        return state

    async def _check_place(self, tx: AsyncConnection, where: state_pb2.StateIdentifier) -> None:
        """Refuse an unknown project or domain; an archived one keeps its states, by which it comes back."""
        if await self._backend.store.projects.get(tx, where.project) is None:
            raise InvalidArgumentError(
                f"project [{where.project}] not found", remedy="keep the state in a project that is there"
            )
        if where.domain not in self._backend.config.domain_ids:
            domains = ", ".join(sorted(self._backend.config.domain_ids))
            raise InvalidArgumentError(
                f"domain [{where.domain}] is unrecognized by system", remedy=f"the domains are {domains}"
            )

    async def _forget(self, tx: AsyncConnection, state: StateRecord) -> None:
        documents = self._backend.store.state_documents
        where = {"project": state.project, "domain": state.domain, "name": state.name}
        old = Query(sort=Sort("serial", ascending=False), offset=KEPT_DOCUMENTS + 1)
        for row in await documents.stored(tx, ("serial",), old, where):
            await documents.delete(tx, state.project, state.domain, state.name, row[0])


def _key(identifier: state_pb2.StateIdentifier) -> tuple[str, str, str]:
    check_scope(identifier)
    _check_text(identifier.name, "name")
    return identifier.project, identifier.domain, identifier.name


def _check_text(value: str, field: str) -> None:
    require(value, field)
    if len(value) > MAX_NAME_LENGTH:
        raise InvalidArgumentError(f"{field} cannot exceed {MAX_NAME_LENGTH} characters")


def _lock(state: StateRecord) -> state_pb2.StateLock:
    lock = state_pb2.StateLock(holder=state.holder)
    if state.acquired_at is not None and state.expires_at is not None:
        lock.acquired_at.CopyFrom(to_timestamp(state.acquired_at))
        lock.expires_at.CopyFrom(to_timestamp(state.expires_at))
    return lock


def _summary(state: StateRecord, at: datetime) -> state_pb2.StateSummary:
    return state_pb2.StateSummary(
        id=state_pb2.StateIdentifier(project=state.project, domain=state.domain, name=state.name),
        serial=state.serial,
        bytes=state.size,
        updated_at=to_timestamp(state.updated_at),
        lock=_lock(state) if state.is_held(at) else None,
    )
