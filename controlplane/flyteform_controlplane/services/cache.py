"""The CacheService: the data catalog's newer form, one output for each key (contract 1.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.cacheservice import cacheservice_pb2 as messages
from flyteidl.cacheservice import cacheservice_pb2_grpc

from flyteform_controlplane.domain.times import now as present
from flyteform_controlplane.domain.times import to_timestamp
from flyteform_controlplane.errors import InvalidArgumentError, MissingEntityError
from flyteform_controlplane.services.reservations import Reservations
from flyteform_controlplane.store.sql import cache as store

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from flyteform_controlplane.store.database import Database


class CacheService(cacheservice_pb2_grpc.CacheServiceServicer):
    """Serves `flyteidl.cacheservice.CacheService`."""

    def __init__(self, database: Database, *, now: Callable[[], datetime] = present) -> None:
        self._database = database
        self._now = now
        self._reservations = Reservations(database, now)

    async def Get(self, request: messages.GetCacheRequest, _context: object) -> messages.GetCacheResponse:
        """Return the cached output."""
        async with self._database.reading() as tx:
            output = await store.get(tx, _checked(request.key))
        if output is None:
            raise _missing(request.key)
        return messages.GetCacheResponse(output=output)

    async def Put(self, request: messages.PutCacheRequest, _context: object) -> messages.PutCacheResponse:
        """Cache an output, literals or where they are; a second one needs `overwrite`."""
        if request.output.WhichOneof("output") is None:
            raise InvalidArgumentError("missing output: literals or a URI")
        async with self._database.transaction() as tx:
            await store.put(tx, _checked(request.key), request.output, self._now(), overwrite=request.overwrite)
        return messages.PutCacheResponse()

    async def Delete(self, request: messages.DeleteCacheRequest, _context: object) -> messages.DeleteCacheResponse:
        """Remove a cached output."""
        async with self._database.transaction() as tx:
            removed = await store.remove(tx, _checked(request.key))
        if not removed:
            raise _missing(request.key)
        return messages.DeleteCacheResponse()

    async def GetOrExtendReservation(
        self, request: messages.GetOrExtendReservationRequest, _context: object
    ) -> messages.GetOrExtendReservationResponse:
        """Reserve the right to compute an output; the answer's owner says who has it."""
        held = await self._reservations.hold(_entry(request.key), request.owner_id, request.heartbeat_interval)
        reservation = messages.Reservation(
            key=request.key, owner_id=held.owner_id, expires_at=to_timestamp(held.expires_at)
        )
        reservation.heartbeat_interval.FromTimedelta(held.heartbeat)
        return messages.GetOrExtendReservationResponse(reservation=reservation)

    async def ReleaseReservation(
        self, request: messages.ReleaseReservationRequest, _context: object
    ) -> messages.ReleaseReservationResponse:
        """Release a reservation; one that has expired or is another's needs no release."""
        await self._reservations.release(_entry(request.key), request.owner_id)
        return messages.ReleaseReservationResponse()


def _checked(key: str) -> str:
    if not key:
        raise InvalidArgumentError("missing key")
    return key


def _entry(key: str) -> str:
    """Return the reservation's name: the data catalog's begin otherwise."""
    return f"cache:{_checked(key)}"


def _missing(key: str) -> MissingEntityError:
    return MissingEntityError(f"nothing is cached under {key!r}")
