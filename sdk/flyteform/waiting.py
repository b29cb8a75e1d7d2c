"""To wait for an event for some time at most, and to stop whenever one is told to."""

from __future__ import annotations

import asyncio


async def set_within(event: asyncio.Event, seconds: float | None) -> bool:
    """Return True as soon as the event is set, False if it is not within so many seconds (None: wait for ever).

    Not `asyncio.wait_for`: before Python 3.12 that loses a cancellation which comes together with the event, and
    whoever stops a task by one would wait for ever.
    """
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
