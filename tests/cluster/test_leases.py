"""Operators share the work, never two of them the same part of it, and take over from each other."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flyteform_dataplane.kubernetes.api import KubernetesApi, connect
from flyteform_dataplane.kubernetes.leases import ROSTER_ANNOTATION, LeaseSettings, Membership
from flyteform_dataplane.kubernetes.sharding import LINK, POSTS, SHARDS, Post, Roster
from support.kubernetes import get, kubectl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

SECONDS = 6


class Desk:
    """Who works on which posts, noted so that two on one would be seen."""

    def __init__(self) -> None:
        self.holders: dict[str, tuple[str, int]] = {}
        self.changed = asyncio.Event()

    def of(self, name: str) -> set[str]:
        """Return the posts that somebody works on."""
        return {post for post, (holder, _) in self.holders.items() if holder == name}

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the work is shared like this."""
        async with asyncio.timeout(60):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


class Worker:
    """An operator that does nothing but note what it works on."""

    def __init__(self, name: str, desk: Desk) -> None:
        self.name = name
        self._desk = desk
        self._epochs: dict[str, int] = {}

    async def assign(self, posts: Mapping[str, int]) -> None:
        """Work on these: nobody else does so, and an epoch never comes again."""
        for post in self._desk.of(self.name) - posts.keys():
            del self._desk.holders[post]
        for post, epoch in posts.items():
            holder, _ = self._desk.holders.get(post, (self.name, 0))
            assert holder == self.name, f"{holder} works on {post} already"
            self._desk.holders[post] = self.name, epoch
        self._desk.changed.set()


class Operators:
    """Members with a connection of their own each."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.desk = Desk()
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self, name: str) -> None:
        """Let one take part."""
        api = await self._stack.enter_async_context(connect(Path(os.environ["KUBECONFIG"])))
        duration, deadline, retry = (timedelta(seconds=seconds) for seconds in (SECONDS, 4, 0.3))
        settings = LeaseSettings("default", "operator", name, duration, deadline, retry)
        self.tasks[name] = asyncio.create_task(Membership(api, settings, Worker(name, self.desk)).run())

    async def stop(self, name: str) -> None:
        """End one as SIGTERM does."""
        self.tasks[name].cancel()
        await asyncio.gather(self.tasks.pop(name), return_exceptions=True)


@pytest.fixture
async def operators() -> AsyncIterator[Operators]:
    """Return what starts operators; those that are left are stopped afterwards."""
    kubectl("delete", "lease", "operator", "--ignore-not-found")
    async with AsyncExitStack() as stack:
        running = Operators(stack)
        yield running
        for name in list(running.tasks):
            await running.stop(name)
    kubectl("delete", "lease", "operator", "--ignore-not-found")


def roster() -> Roster:
    """Return the roster as it is in the lease."""
    return Roster.load(get("lease", "operator")["metadata"]["annotations"][ROSTER_ANNOTATION])


async def test_one_has_everything_and_two_share_it(operators: Operators) -> None:
    """Who comes second gets half of the shards from the first; there is one link."""
    desk = operators.desk
    await operators.start("a")
    await desk.until(lambda: desk.of("a") == set(POSTS))
    await operators.start("b")
    await desk.until(lambda: len(desk.of("b")) == SHARDS // 2 and len(desk.holders) == len(POSTS))
    assert LINK in desk.of("a")
    assert get("lease", "operator")["spec"]["holderIdentity"] == "a"


async def test_a_hand_over_is_immediate(operators: Operators) -> None:
    """Who stops gives all back: another one has it before it could have run out, in a later epoch."""
    desk = operators.desk
    await operators.start("a")
    await desk.until(lambda: len(desk.of("a")) == len(POSTS))
    await operators.start("b")
    await desk.until(lambda: bool(desk.of("b")))
    before = dict(desk.holders)
    began = asyncio.get_running_loop().time()
    await operators.stop("a")
    await desk.until(lambda: desk.of("b") == set(POSTS))
    assert roster().members.keys() == {"b"}
    assert all(epoch > before[post][1] for post, (_, epoch) in desk.holders.items() if before[post][0] == "a")
    assert asyncio.get_running_loop().time() - began < SECONDS
    await operators.stop("b")
    assert not roster().members
    assert all(not post.holder for post in roster().posts.values())


async def test_a_silent_holder_is_replaced(operators: Operators) -> None:
    """Who does not renew loses all when the duration is over by the taker's own clock, whatever the lease says."""
    dead = Roster({"dead": 41}, dict.fromkeys(POSTS, Post("dead", 7)))
    spec = {"holderIdentity": "dead", "leaseDurationSeconds": SECONDS, "renewTime": "2999-01-01T00:00:00.000000Z"}
    metadata = {"name": "operator", "annotations": {ROSTER_ANNOTATION: dead.dump()}}
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
    kubectl("apply", "-f", "-", given=lease)
    desk = operators.desk
    began = asyncio.get_running_loop().time()
    await operators.start("a")
    await desk.until(lambda: desk.of("a") == set(POSTS))
    assert asyncio.get_running_loop().time() - began >= SECONDS
    assert all(epoch > 7 for _, epoch in desk.holders.values())


async def _silence(*_: object) -> None:
    await asyncio.Event().wait()


async def test_who_cannot_renew_stops(operators: Operators, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that the API server does not answer ends its work before its posts could be another's."""
    desk = operators.desk
    await operators.start("a")
    await desk.until(lambda: desk.of("a") == set(POSTS))
    monkeypatch.setattr(KubernetesApi, "get", _silence)
    began = asyncio.get_running_loop().time()
    await desk.until(lambda: not desk.holders)
    assert asyncio.get_running_loop().time() - began < SECONDS + 2
    monkeypatch.undo()
    await desk.until(lambda: desk.of("a") == set(POSTS))


async def test_a_broken_roster_is_begun_anew(operators: Operators) -> None:
    """Whatever somebody writes into the lease, the operators go on, and their epochs only grow."""
    desk = operators.desk
    await operators.start("a")
    await desk.until(lambda: desk.of("a") == set(POSTS))
    before = dict(desk.holders)
    kubectl("annotate", "lease", "operator", f"{ROSTER_ANNOTATION}=nonsense", "--overwrite")
    await desk.until(lambda: desk.of("a") == set(POSTS) and desk.holders != before)
    assert all(epoch > before[post][1] for post, (_, epoch) in desk.holders.items())
    assert "a" in roster().members
