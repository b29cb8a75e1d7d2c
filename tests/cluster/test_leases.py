"""One of several operators works at a time, and another one takes its place."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flyteform_dataplane.kubernetes.api import connect
from flyteform_dataplane.kubernetes.leases import Leadership, LeaseSettings
from support.kubernetes import get, kubectl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

SECONDS = 3


class Worker:
    """An operator that does nothing but count how many work at the same time."""

    working: set[str]

    def __init__(self, name: str, working: set[str], begun: asyncio.Event) -> None:
        self.name = name
        self.working = working
        self.begun = begun

    async def work(self) -> None:
        """Work until cancelled."""
        assert not self.working, f"{self.working} works already"
        self.working.add(self.name)
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.working.discard(self.name)


@pytest.fixture
async def election() -> AsyncIterator[Callable[[str], Leadership]]:
    """Return what makes a candidate with a connection of its own."""
    async with AsyncExitStack() as stack:
        apis = [await stack.enter_async_context(connect(Path(os.environ["KUBECONFIG"]))) for _ in range(3)]
        kubectl("delete", "lease", "operator", "--ignore-not-found")

        def candidate(name: str) -> Leadership:
            duration, deadline, retry = (timedelta(seconds=seconds) for seconds in (SECONDS, 2, 0.2))
            return Leadership(apis.pop(), LeaseSettings("default", "operator", name, duration, deadline, retry))

        yield candidate
    kubectl("delete", "lease", "operator", "--ignore-not-found")


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_hand_over_is_immediate(election: Callable[[str], Leadership]) -> None:
    """Who stops gives the lease back: the next one works before it could have run out, never beside the first."""
    working: set[str] = set()
    tasks: dict[str, asyncio.Task[None]] = {}
    begun = {name: asyncio.Event() for name in ("a", "b")}
    for name in ("a", "b"):
        worker = Worker(name, working, begun[name])
        tasks[name] = asyncio.create_task(election(name).run(worker.work))
        if name == "a":
            await asyncio.wait_for(begun["a"].wait(), 20)
    assert working == {"a"}
    await _cancelled(tasks["a"])
    await asyncio.wait_for(begun["b"].wait(), SECONDS)
    assert working == {"b"}
    assert get("lease", "operator")["spec"]["holderIdentity"] == "b"
    await _cancelled(tasks["b"])
    assert not get("lease", "operator")["spec"].get("holderIdentity")


async def test_a_silent_holder_is_replaced(election: Callable[[str], Leadership]) -> None:
    """A lease that nobody renews is taken when its duration is over by the taker's own clock, whatever it says."""
    spec = {"holderIdentity": "dead", "leaseDurationSeconds": SECONDS, "renewTime": "2999-01-01T00:00:00.000000Z"}
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "operator"}, "spec": spec}
    kubectl("apply", "-f", "-", given=lease)
    worker = Worker("a", set(), asyncio.Event())
    task = asyncio.create_task(election("a").run(worker.work))
    await asyncio.wait_for(worker.begun.wait(), 10 * SECONDS)
    assert get("lease", "operator")["spec"]["leaseTransitions"] == 1
    await _cancelled(task)


async def test_who_loses_the_lease_stops(election: Callable[[str], Leadership]) -> None:
    """A holder that finds another one's name in the lease ends its work."""
    worker = Worker("a", set(), asyncio.Event())
    task = asyncio.create_task(election("a").run(worker.work))
    await asyncio.wait_for(worker.begun.wait(), 20)
    kubectl("patch", "lease", "operator", "--type=merge", '--patch={"spec":{"holderIdentity":"b"}}')
    await asyncio.wait_for(task, 20)
    assert worker.working == set()
    assert get("lease", "operator")["spec"]["holderIdentity"] == "b"


async def test_an_error_of_the_work_comes_out(election: Callable[[str], Leadership]) -> None:
    """Whoever runs the election sees what its work failed with, and the lease is free."""

    async def fail() -> None:
        raise ValueError("broken")

    work: Callable[[], Awaitable[None]] = fail
    with pytest.raises(ValueError, match="broken"):
        await asyncio.wait_for(election("a").run(work), 20)
    assert not get("lease", "operator")["spec"].get("holderIdentity")
