"""The calls of `flyteform.v1.StateService`: states that the platform itself keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteform.errors import NotFoundError
from flyteform.proto.flyteform.v1 import state_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import timedelta

    from flyteform.client.calls import Caller

_SERVICE = "flyteform.v1.StateService"
_PAGE_ROWS = 100


@dataclass(frozen=True, slots=True)
class StateClient:
    """The states of one platform. A stock FlyteAdmin keeps none: `UnsupportedError`."""

    caller: Caller

    async def get(self, state: state_pb2.StateIdentifier) -> state_pb2.GetStateResponse | None:
        """Return the last document, None if there is none."""
        request = state_pb2.GetStateRequest(id=state)
        try:
            return await self.caller.call(_SERVICE, "GetState", request, state_pb2.GetStateResponse)
        except NotFoundError:
            return None

    async def put(
        self, state: state_pb2.StateIdentifier, fence: int, serial: int, document: bytes, ttl: timedelta
    ) -> None:
        """Put a document and renew the lock; `ConflictError` if that is held no longer or the serial has been used."""
        request = state_pb2.PutStateRequest(id=state, fence=fence, serial=serial, document=document)
        request.ttl.FromTimedelta(ttl)
        await self.caller.call(_SERVICE, "PutState", request, state_pb2.PutStateResponse)

    async def lock(
        self, state: state_pb2.StateIdentifier, token: str, holder: str, ttl: timedelta
    ) -> state_pb2.LockStateResponse:
        """Take the lock, or learn who holds it."""
        request = state_pb2.LockStateRequest(id=state, token=token, holder=holder)
        request.ttl.FromTimedelta(ttl)
        return await self.caller.call(_SERVICE, "LockState", request, state_pb2.LockStateResponse)

    async def renew(self, state: state_pb2.StateIdentifier, fence: int, ttl: timedelta) -> None:
        """Let the lock last longer; `ConflictError` if it was taken over."""
        request = state_pb2.RenewStateLockRequest(id=state, fence=fence)
        request.ttl.FromTimedelta(ttl)
        await self.caller.call(_SERVICE, "RenewStateLock", request, state_pb2.RenewStateLockResponse)

    async def unlock(self, state: state_pb2.StateIdentifier, fence: int = 0, *, force: bool = False) -> None:
        """Give the lock back, or take it from whoever holds it."""
        request = state_pb2.UnlockStateRequest(id=state, fence=fence, force=force)
        await self.caller.call(_SERVICE, "UnlockState", request, state_pb2.UnlockStateResponse)

    async def list(self, project: str, domain: str) -> AsyncIterator[state_pb2.StateSummary]:
        """Yield the states of a project and domain."""
        request = state_pb2.ListStatesRequest(project=project, domain=domain, limit=_PAGE_ROWS)
        while True:
            page = await self.caller.call(_SERVICE, "ListStates", request, state_pb2.ListStatesResponse)
            for row in page.states:
                yield row
            if not page.token:
                return
            request.token = page.token
