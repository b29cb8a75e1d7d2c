"""Waiting for an event: it wakes, it ends in time, and a stop is never lost."""

from __future__ import annotations

import asyncio

import pytest

from flyteform.waiting import set_within


async def test_it_says_whether_the_event_came() -> None:
    """True for one that is set, before or meanwhile, also without a limit; False when the time is over."""
    event = asyncio.Event()
    assert await set_within(event, 0) is False
    assert await set_within(event, 0.001) is False
    waiting = asyncio.create_task(set_within(event, 3600))
    for_ever = asyncio.create_task(set_within(event, None))
    await asyncio.sleep(0)
    event.set()
    async with asyncio.timeout(60):
        assert await waiting is True
        assert await for_ever is True
    assert await set_within(event, 0) is True


@pytest.mark.parametrize("steps", range(6))
async def test_a_stop_that_comes_with_the_event_stops(steps: int) -> None:
    """At whichever step of the event loop after the event it is, a task that waits again and again ends."""
    event = asyncio.Event()

    async def work() -> None:
        while True:
            await set_within(event, 3600)
            event.clear()

    task = asyncio.create_task(work())
    for _ in range(3):
        await asyncio.sleep(0)
    event.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=60)
    assert task.cancelled()


async def test_a_limit_around_it_is_not_taken_for_its_own() -> None:
    """A shorter limit of the caller's ends the caller's block."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await set_within(asyncio.Event(), 3600)
