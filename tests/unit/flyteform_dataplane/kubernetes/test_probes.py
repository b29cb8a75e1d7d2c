"""Whether an operator is alive and whether it is ready: two questions, asked over HTTP."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import grpc.aio
import pytest

from flyteform.errors import ConflictError, UnavailableError
from flyteform_dataplane.channel import Backoff
from flyteform_dataplane.health import Health, ended
from flyteform_dataplane.kubernetes.informer import Informer
from flyteform_dataplane.kubernetes.leases import LeaseSettings, Membership
from flyteform_dataplane.kubernetes.probes import LIVE, READY, probed
from flyteform_dataplane.link import LinkClient, Place
from support.fake_cluster import FakeCluster
from support.leasing import LeasingControl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what other tasks of this loop bring about."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


async def test_answers() -> None:
    """Before the work begins a process is alive and not ready; then each answer says what is wrong, line by line."""
    health, wrong = Health(), {"live": "", "ready": ""}
    async with probed(health, 0, "127.0.0.1") as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

        async def asked(path: str) -> tuple[int, str]:
            async with session.get(path) as response:
                return response.status, await response.text()

        assert await asked(LIVE) == (200, "ok")
        assert await asked(READY) == (503, "its work has not begun")
        with health.working([lambda: wrong["live"]], [lambda: wrong["ready"]]):
            assert await asked(READY) == (200, "ok")
            wrong["ready"] = "there is no link"
            assert await asked(LIVE) == (200, "ok")
            assert await asked(READY) == (503, "there is no link")
            wrong["live"] = "a watch has ended"
            assert await asked(LIVE) == (503, "a watch has ended")
            assert await asked(READY) == (503, "a watch has ended\nthere is no link")
        assert await asked(LIVE) == (200, "ok")
        assert (await asked("/"))[0] == 404


async def test_a_port_that_is_taken() -> None:
    """The error names the flag."""
    async with probed(Health(), 0, "127.0.0.1") as port:
        with pytest.raises(ConflictError, match=f"127.0.0.1:{port} cannot be listened on") as raised:
            async with probed(Health(), port, "127.0.0.1"):
                pass
        assert "--health-port" in raised.value.remedy


async def test_ended() -> None:
    """A task that goes on, or that was told to end, is well; one that ended by itself is not, and its error is told."""

    async def last(error: Exception | None) -> None:
        if error is not None:
            raise error

    going = asyncio.create_task(asyncio.Event().wait())
    for task, said in (
        (None, ""),
        (going, ""),
        (asyncio.create_task(last(None)), "it has ended"),
        (asyncio.create_task(last(KeyError("x"))), "it has ended: KeyError: 'x'"),
    ):
        if task not in (None, going):
            await asyncio.wait([task])
        assert ended(task, "it") == said
    going.cancel()
    await asyncio.wait([going])
    assert ended(going, "it") == ""


async def test_a_watch_that_a_defect_ends() -> None:
    """An informer is well while its server fails, and says so when its own code has."""
    cluster = FakeCluster()
    broken = False

    def keep(item: dict[str, Any]) -> dict[str, Any]:
        if broken:
            raise KeyError(item["metadata"]["name"])
        return item

    informer = Informer(cluster, "/api/v1/pods", lambda _, __: None, keep=keep)
    informer.start()
    await informer.synced()
    assert informer.ailment() == ""
    broken = True
    await until(lambda: cluster.watches == 1)
    await cluster.create("/api/v1/namespaces/n/pods", {"metadata": {"name": "p"}})
    await until(lambda: informer.ailment() != "")
    assert informer.ailment().startswith("the watch of /api/v1/pods has ended: KeyError")
    await informer.stop()


class Leases(FakeCluster):
    """An API server that may be out of order."""

    broken = False

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        """Return the lease, unless it is out of order."""
        if self.broken:
            raise UnavailableError("no route to host")
        return await super().get(path, **query)

    async def replace(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Replace the lease."""
        self.set(path, body)
        return self.objects[path]


class Work:
    """Work that may get stuck."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.free.set()
        self.posts: Mapping[str, int] = {}

    async def assign(self, posts: Mapping[str, int]) -> None:
        """Take it on when that is possible."""
        self.posts = posts
        await self.free.wait()


async def test_membership() -> None:
    """Without a renewed lease it is alive and not ready; a turn that never ends is an ailment."""
    now = 100.0
    server, work = Leases(), Work()
    settings = LeaseSettings("n", "lease", "me", retry=timedelta(milliseconds=1))
    membership = Membership(server, settings, work, clock=lambda: now)  # type: ignore[arg-type]
    assert membership.obstacle() == "lease n/lease is not renewed"
    running = asyncio.create_task(membership.run())
    await until(lambda: bool(work.posts))
    assert (membership.obstacle(), membership.ailment()) == ("", "")
    server.broken = True
    now += 16
    await until(lambda: not work.posts)
    assert (membership.obstacle(), membership.ailment()) == ("lease n/lease is not renewed", "")
    work.free.clear()
    server.broken = False
    await until(lambda: bool(work.posts))
    assert membership.obstacle() == ""
    now += 301
    assert membership.ailment() == "the lease was not looked after for 301 s"
    work.free.set()
    await until(lambda: membership.ailment() == "")
    running.cancel()
    await asyncio.wait([running])


class Nothing:
    """Takes no executions."""

    def held(self) -> list[WorkflowExecutionIdentifier]:
        """Return none."""
        return []


async def test_link() -> None:
    """It is connected when the control plane has taken it in, and not when that is gone; it is alive in both."""
    control = LeasingControl()
    async with control.serving():
        channel = grpc.aio.insecure_channel(control.address)
        link = LinkClient(channel, Nothing(), Place("one"), backoff=Backoff())  # type: ignore[arg-type]
        assert not link.is_connected
        link.start()
        await until(lambda: link.is_connected)
    await until(lambda: not link.is_connected)
    assert link.ailment() == ""
    await link.stop()
    await channel.close()
