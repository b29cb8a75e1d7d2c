"""Who waits for room in a namespace."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flyteform_dataplane.kubernetes.rooms import Rooms

if TYPE_CHECKING:
    import pytest


async def waiting(rooms: Rooms, namespace: str, number: int) -> list[asyncio.Task[bool]]:
    """Let so many wait."""
    tasks = [asyncio.create_task(rooms.wait(namespace, 3600)) for _ in range(number)]
    await asyncio.sleep(0)
    return tasks


async def test_who_came_first_tries_first() -> None:
    """Two for each pod that goes, of the same namespace; the others wait on."""
    rooms = Rooms()
    here, there = await waiting(rooms, "a", 5), await waiting(rooms, "b", 1)
    rooms.freed("a")
    async with asyncio.timeout(60):
        assert [await task for task in here[:2]] == [True, True]
    assert [task.done() for task in (*here, *there)] == [True, True, False, False, False, False]
    rooms.freed("a")
    rooms.freed("a")  # more than there are
    rooms.freed("b")
    async with asyncio.timeout(60):
        assert all(await asyncio.gather(*here, *there))
    assert not rooms.wanted


async def test_a_wait_ends_without_room_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its time, or a little later where many wait, so that the API server is not asked more often for them."""
    monkeypatch.setattr("flyteform_dataplane.kubernetes.rooms._ASKED", 500.0)
    rooms = Rooms()
    assert await rooms.wait("a", 0.01) is False
    assert not rooms.wanted
    many = await waiting(rooms, "a", 50)
    began = asyncio.get_running_loop().time()
    assert await rooms.wait("a", 0.01) is False
    assert asyncio.get_running_loop().time() - began >= 0.1
    for task in many:
        task.cancel()
    await asyncio.gather(*many, return_exceptions=True)
    assert not rooms.wanted


async def test_who_comes_while_the_last_leave_is_not_forgotten() -> None:
    """The line that those have left is another one's by then."""
    rooms = Rooms()
    first = await waiting(rooms, "a", 2)
    rooms.freed("a")
    late = asyncio.create_task(rooms.wait("a", 3600))
    async with asyncio.timeout(60):
        await asyncio.gather(*first)
        await asyncio.sleep(0)
        rooms.freed("a")
        assert await late is True
