"""Time as the scheduler sees it, so that tests can let days pass at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from flyteform.waiting import set_within
from flyteform_controlplane.domain.times import now

if TYPE_CHECKING:
    import asyncio
    from datetime import datetime


class Clock(Protocol):
    """A clock that can be waited for."""

    def now(self) -> datetime:
        """Return the present time in UTC."""
        ...

    async def sleep_until(self, when: datetime, wake: asyncio.Event) -> None:
        """Return when the time has come or the event is set, whichever is first."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present time in UTC."""
        return now()

    async def sleep_until(self, when: datetime, wake: asyncio.Event) -> None:
        """Return when the time has come or the event is set, whichever is first."""
        await set_within(wake, max((when - now()).total_seconds(), 0))
