"""Single events that arrive together are applied together: one transaction for all that came during the last one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import TypeAlias

    from flyteform.proto.flyteform.v1.events_pb2 import Event
    from flyteform_controlplane.domain.principals import Principal
    from flyteform_controlplane.errors import ControlPlaneError

    Refusals: TypeAlias = list[ControlPlaneError | None]
    Apply: TypeAlias = Callable[[Sequence[Event], Principal | None], Awaitable[Refusals]]

# One batch at a time gathers the most for the next one. Where many wait (for a large value's object, or because there
# are so many) another goes on beside it.
_WORKERS: Final = 2
_MANY: Final = 32
_MAX_BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class _Waiting:
    event: Event
    principal: Principal | None
    refusal: asyncio.Future[ControlPlaneError | None]


class EventQueue:
    """Gathers single events for `apply`, which takes many of one principal."""

    def __init__(self, apply: Apply) -> None:
        self._apply = apply
        self._waiting: list[_Waiting] = []
        self._workers: set[asyncio.Task[None]] = set()
        # How many of them will look at what waits once more: the set learns of an end a moment after it.
        self._looking = 0

    async def put(self, event: Event, principal: Principal | None) -> ControlPlaneError | None:
        """Apply the event, with others if there are any, and return its refusal; it is durable then."""
        one = _Waiting(event, principal, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        if not self._looking or (len(self._waiting) >= _MANY and self._looking < _WORKERS):
            self._looking += 1
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        return await one.refusal

    async def _work(self) -> None:
        try:
            while batch := self._next():
                await self._answer(batch)
        finally:
            self._looking -= 1

    async def _answer(self, batch: Sequence[_Waiting]) -> None:
        try:
            refusals = await self._apply([one.event for one in batch], batch[0].principal)
        except Exception:  # noqa: BLE001 - whose event it was is found out one by one
            await self._one_by_one(batch)
            return
        for one, refusal in zip(batch, refusals, strict=True):
            if not one.refusal.done():
                one.refusal.set_result(refusal)

    def _next(self) -> list[_Waiting]:
        """Take the events at the head that are of one principal."""
        count = 0
        for one in self._waiting[:_MAX_BATCH]:
            if one.principal != self._waiting[0].principal:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    async def _one_by_one(self, batch: Sequence[_Waiting]) -> None:
        for one in batch:
            try:
                (refusal,) = await self._apply([one.event], one.principal)
            except Exception as error:  # noqa: BLE001 - the caller's to handle
                if not one.refusal.done():
                    one.refusal.set_exception(error)
            else:
                if not one.refusal.done():
                    one.refusal.set_result(refusal)
