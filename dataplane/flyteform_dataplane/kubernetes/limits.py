"""How many requests a client may make: so many a second on average, more in a burst, and so many at once."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """`qps` requests a second once a `burst` of them is used up; no more than `in_flight` connections."""

    qps: float = 500.0
    burst: int = 1000
    in_flight: int = 32


class RateLimit:
    """A bucket of tokens that fills steadily: each request takes one, or waits for its own, first come first served."""

    def __init__(
        self,
        limits: RequestLimits,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._sleep = sleep
        self._tokens = float(limits.burst)
        self._at = clock()
        self._resting_until = 0.0

    async def turn(self) -> None:
        """Wait until the next request may be made."""
        now = self._clock()
        self._tokens = min(self._limits.burst, self._tokens + (now - self._at) * self._limits.qps) - 1
        self._at = now
        # A debt is a place in the queue: whoever comes later has a larger one.
        delay = max(-self._tokens / self._limits.qps, self._resting_until - now)
        while delay > 0:
            await self._sleep(delay)
            delay = self._resting_until - self._clock()

    def rest(self, seconds: float) -> None:
        """Make no request for so long."""
        self._resting_until = max(self._resting_until, self._clock() + seconds)
