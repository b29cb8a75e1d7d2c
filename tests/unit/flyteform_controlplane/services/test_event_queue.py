"""Single events that are applied together."""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from flyteform.proto.flyteform.v1.events_pb2 import Event
from flyteform_controlplane.domain.principals import Principal
from flyteform_controlplane.errors import ControlPlaneError, InvalidArgumentError, UnavailableError
from flyteform_controlplane.services.event_queue import EventQueue

if TYPE_CHECKING:
    from collections.abc import Sequence


def event(number: int) -> Event:
    """Make one that can be told from others."""
    made = Event()
    made.node.request_id = str(number)
    return made


class Recorder:
    """Applies events as slowly as the loop turns, and notes which came together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.principals: list[Principal | None] = []

    async def apply(
        self, events: Sequence[Event], principal: Principal | None = None
    ) -> list[ControlPlaneError | None]:
        """Refuse number 3; fail for any batch with number 4 in it."""
        numbers = [int(one.node.request_id) for one in events]
        self.batches.append(numbers)
        self.principals.append(principal)
        await asyncio.sleep(0)
        if 4 in numbers:
            raise UnavailableError("the database is away")
        return [InvalidArgumentError("no") if number == 3 else None for number in numbers]


async def test_events_that_come_together_are_applied_together_in_order() -> None:
    """All of them get their own answers, in fewer batches than there are events."""
    recorder = Recorder()
    queue = EventQueue(recorder.apply)
    refusals = await asyncio.gather(*(queue.put(event(number), None) for number in (1, 2, 3, 5, 6)))
    assert [type(refusal) for refusal in refusals] == [type(None)] * 2 + [InvalidArgumentError] + [type(None)] * 2
    assert list(chain.from_iterable(recorder.batches)) == [1, 2, 3, 5, 6]
    assert len(recorder.batches) == 1


async def test_a_batch_that_fails_is_applied_one_by_one() -> None:
    """Only the event whose own transaction fails gets the error."""
    recorder = Recorder()
    queue = EventQueue(recorder.apply)
    results = await asyncio.gather(*(queue.put(event(number), None) for number in (1, 4, 5)), return_exceptions=True)
    assert [type(result) for result in results] == [type(None), UnavailableError, type(None)]
    assert recorder.batches == [[1, 4, 5], [1], [4], [5]]


async def test_events_of_different_principals_are_not_mixed() -> None:
    """What one may do says nothing of the other."""
    recorder = Recorder()
    queue = EventQueue(recorder.apply)
    one, other = (Principal(name, frozenset(), 0) for name in ("one", "other"))
    await asyncio.gather(queue.put(event(1), one), queue.put(event(2), other), queue.put(event(5), other))
    assert recorder.batches == [[1], [2, 5]]
    assert recorder.principals == [one, other]


async def test_a_caller_that_gives_up_stops_nobody_else() -> None:
    """Its event is applied all the same, and the others are answered."""
    recorder = Recorder()
    queue = EventQueue(recorder.apply)
    given_up = asyncio.ensure_future(queue.put(event(1), None))
    stays = asyncio.ensure_future(queue.put(event(2), None))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await stays is None
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert list(chain.from_iterable(recorder.batches)) == [1, 2]


async def test_an_event_that_comes_as_the_last_one_is_answered_is_applied() -> None:
    """Whoever goes on at once with the next event does not meet a worker that has just ended."""
    queue = EventQueue(Recorder().apply)

    async def send() -> None:
        for _ in range(50):
            assert await queue.put(event(1), None) is None

    async with asyncio.timeout(60):
        await asyncio.gather(*(send() for _ in range(3)))


async def test_many_that_wait_do_not_wait_for_one_batch_alone() -> None:
    """While a batch takes its time and many others have come, these are applied beside it."""
    slow, others = asyncio.Event(), asyncio.Event()

    async def apply(events: Sequence[Event], _principal: Principal | None = None) -> list[ControlPlaneError | None]:
        if events[0].node.request_id == "0":
            await slow.wait()
        else:
            others.set()
        return [None] * len(events)

    queue = EventQueue(apply)
    first = asyncio.ensure_future(queue.put(event(0), None))
    await asyncio.sleep(0)
    rest = [asyncio.ensure_future(queue.put(event(number), None)) for number in range(1, 100)]
    async with asyncio.timeout(60):
        await others.wait()
        await asyncio.gather(*rest)
        slow.set()
        await first
