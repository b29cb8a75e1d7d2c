"""Requests keep to their rate, in virtual time."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from flyteform_dataplane.kubernetes.limits import RateLimit, RequestLimits


class Time:
    """A clock that only moves when somebody sleeps, or is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    async def sleep(self, seconds: float) -> None:
        """Move on."""
        self.now += seconds


@given(st.lists(st.floats(0, 3), min_size=1, max_size=80), st.integers(1, 20), st.integers(1, 20))
def test_a_burst_and_then_so_many_a_second(gaps: list[float], qps: int, burst: int) -> None:
    """In no stretch of time are there more requests than the burst and what the rate allows in it."""
    time = Time()
    limit = RateLimit(RequestLimits(qps, burst), clock=lambda: time.now, sleep=time.sleep)
    at: list[float] = []

    async def play() -> None:
        for gap in gaps:
            time.now += gap
            await limit.turn()
            at.append(time.now)

    asyncio.run(play())
    for first in range(len(at)):
        for last in range(first, len(at)):
            assert last - first + 1 <= burst + (at[last] - at[first]) * qps + 1e-6


async def test_a_rest_holds_for_everybody() -> None:
    """After the server has asked for a pause nothing is sent before it is over, however many tokens there are."""
    time = Time()
    limit = RateLimit(RequestLimits(10, 10), clock=lambda: time.now, sleep=time.sleep)
    limit.rest(5)
    limit.rest(2)
    await limit.turn()
    assert time.now == 105


async def test_first_come_first_served() -> None:
    """Who comes at the same moment waits one after the other."""
    delays: list[float] = []

    async def sleep(seconds: float) -> None:
        delays.append(seconds)

    limit = RateLimit(RequestLimits(200, 3), clock=lambda: 100.0, sleep=sleep)
    for _ in range(7):
        await limit.turn()
    assert delays == [0.005, 0.01, 0.015, 0.02]
