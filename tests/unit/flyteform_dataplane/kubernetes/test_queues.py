"""What is in a queue is looked after, one worker for each name, until that succeeds."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from flyteform.errors import UnavailableError
from flyteform_dataplane.kubernetes.api import ThrottledError
from flyteform_dataplane.kubernetes.queues import WorkQueue

PAUSES: list[float] = []


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Note how long a name would wait, and let it wait no longer than a turn of the loop."""
    PAUSES.clear()
    late = WorkQueue._add_later  # noqa: SLF001 - the one place where pauses begin

    def at_once(self: WorkQueue, name: str, seconds: float) -> None:
        PAUSES.append(seconds)
        late(self, name, 0)

    monkeypatch.setattr(WorkQueue, "_add_later", at_once)


async def test_a_name_is_worked_on_once_at_a_time_and_never_forgotten() -> None:
    """Whatever is added while it is worked on is looked at again afterwards; others go on beside it."""
    seen: Counter[str] = Counter()
    working: set[str] = set()
    added: Counter[str] = Counter()
    source = random.Random(1)  # noqa: S311 - the same each time

    async def handle(name: str) -> None:
        assert name not in working
        working.add(name)
        before = added[name]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        working.discard(name)
        seen[name] = before

    queue = WorkQueue(handle, workers=3)
    for _ in range(500):
        name = f"n{source.randrange(10)}"
        added[name] += 1
        queue.add(name)
        assert len(working) <= 3
        if source.random() < 0.5:
            await asyncio.sleep(0)
    async with asyncio.timeout(30):
        while seen != added:  # noqa: ASYNC110 - told by a counter
            await asyncio.sleep(0)
    await queue.close()


async def test_failures_come_back_later_each_time() -> None:
    """A name that fails waits longer each time, at least as long as the server asks, and no longer than a minute."""
    tries = 0
    done = asyncio.Event()

    async def handle(name: str) -> None:
        nonlocal tries
        assert name == "a"
        tries += 1
        if tries == 5:
            raise ThrottledError("too many", 17.0)
        if tries == 6:
            raise ValueError("a defect")
        if tries < 14:
            raise UnavailableError("away")
        done.set()

    queue = WorkQueue(handle, source=random.Random(2))  # noqa: S311 - the same each time
    queue.add("a")
    await asyncio.wait_for(done.wait(), 30)
    assert len(PAUSES) == 13
    assert PAUSES[4] == 17.0
    assert all(0.1 * 2**number <= pause <= 0.2 * 2**number for number, pause in enumerate(PAUSES[:4]))
    assert all(30 <= pause <= 60 for pause in PAUSES[-3:])
    await queue.close()


async def test_success_forgets_failures() -> None:
    """After a success the next failure waits as briefly as the first one did."""
    outcomes = iter(["bad", "bad", "bad", "good", "bad", "good"])
    goods = asyncio.Queue[None]()

    async def handle(_: str) -> None:
        if next(outcomes) == "bad":
            raise UnavailableError("away")
        goods.put_nowait(None)

    queue = WorkQueue(handle)
    queue.add("a")
    await asyncio.wait_for(goods.get(), 30)
    queue.add("a")
    await asyncio.wait_for(goods.get(), 30)
    assert PAUSES[3] <= 0.2
    await queue.close()


async def test_nothing_happens_after_closing() -> None:
    """A closed queue drops what waits, stops what is worked on, and takes nothing."""
    begun, ended = asyncio.Event(), list[str]()

    async def handle(name: str) -> None:
        begun.set()
        await asyncio.Event().wait()
        ended.append(name)

    queue = WorkQueue(handle, workers=1)
    queue.add("a")
    queue.add("b")
    await begun.wait()
    await queue.close()
    queue.add("c")
    await asyncio.sleep(0)
    assert not ended
