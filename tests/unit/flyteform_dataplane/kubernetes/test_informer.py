"""An informer knows what a collection holds, whatever happens to its connections."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from flyteform.errors import UnavailableError
from flyteform_dataplane.kubernetes.api import ExpiredError
from flyteform_dataplane.kubernetes.informer import Informer
from support.attempts import until
from support.fake_cluster import FakeCluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Json = dict[str, Any]
PATH = "/api/v1/pods"


class Server:
    """A collection with a history, whose answers fail, whose watches break off, and which forgets what is old."""

    def __init__(self, source: random.Random) -> None:
        self.source = source
        self.objects: dict[str, Json] = {}
        self.version = 0
        self.history: list[tuple[int, str, Json]] = []
        self.kept_from = 0
        self.calm = False
        self.changed = asyncio.Event()

    def change(self) -> None:
        """Add, modify or delete an object at random; forget a part of the history now and then."""
        self.version += 1
        name = f"p{self.source.randrange(5)}"
        item = {"metadata": {"name": name, "namespace": "n", "resourceVersion": str(self.version)}}
        kind = self.source.choice(("MODIFIED", "DELETED")) if name in self.objects else "ADDED"
        if kind == "DELETED":
            del self.objects[name]
        else:
            self.objects[name] = item
        self.history.append((self.version, kind, item))
        if self.source.random() < 0.1:
            self.kept_from = self.version
        self.changed.set()

    def _stumble(self) -> None:
        if not self.calm and self.source.random() < 0.2:
            raise UnavailableError("connection reset")

    async def get(self, path: str, **query: str) -> Json:
        """List, two objects a page; a later page may show a later state, as it has the first page's version."""
        assert path == PATH
        self._stumble()
        names = sorted(self.objects)
        first = int(query.get("continue", "0"))
        page = names[first : first + 2]
        more = str(first + 2) if first + 2 < len(names) else ""
        items = [self.objects[name] for name in page]
        return {"items": items, "metadata": {"resourceVersion": str(self.version), "continue": more}}

    async def get_metadata(self, path: str, **query: str) -> Json:
        """List, without anything but metadata, of which there is nothing else here."""
        return await self.get(path, **query)

    async def watch(
        self, path: str, version: str, *, metadata_only: bool = False, **query: str
    ) -> AsyncIterator[tuple[str, Json]]:
        """Tell the changes after a version, and break off at random."""
        assert path == PATH
        assert not metadata_only
        assert query == {"labelSelector": "a=b"}
        self._stumble()
        at = int(version)
        while True:
            if at < self.kept_from:
                raise ExpiredError("too old")
            for number, kind, item in self.history:
                if number > at:
                    yield kind, {"metadata": {**item["metadata"], "resourceVersion": str(number)}}
                    at = number
                    if not self.calm and self.source.random() < 0.15:
                        return
            self.changed.clear()
            self._stumble()
            await self.changed.wait()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pauses between tries take no time: the machine's is not what is tested."""
    real = asyncio.sleep
    monkeypatch.setattr("flyteform_dataplane.kubernetes.informer.asyncio.sleep", lambda _: real(0))


@pytest.mark.parametrize("seed", range(30))
async def test_it_converges(seed: int) -> None:
    """After any number of changes, cuts and lost history it knows what is there, and its observer was told."""
    source = random.Random(seed)  # noqa: S311 - the same faults each time
    server = Server(source)
    told: dict[str, str] = {}

    def observe(item: Json, there: bool) -> None:
        name = item["metadata"]["name"]
        if there:
            told[name] = item["metadata"]["resourceVersion"]
        else:
            del told[name]

    informer = Informer(server, PATH, observe, selector="a=b", source=source)
    informer.start()
    await informer.synced()
    for _ in range(200):
        server.change()
        if source.random() < 0.5:
            await asyncio.sleep(0)
    server.calm = True
    truth = {name: item["metadata"]["resourceVersion"] for name, item in server.objects.items()}
    async with asyncio.timeout(10):
        while told != truth:
            server.changed.set()
            await asyncio.sleep(0)
    assert {name: informer.get("n", name) is not None for name in truth} == dict.fromkeys(truth, True)
    await informer.stop()


async def test_an_object_that_nobody_expected_hides_no_other() -> None:
    """Whoever watches may stumble over it: what comes afterwards is told all the same, and the object is known."""
    cluster, told = FakeCluster(), list[str]()

    def observe(item: Json, _: bool) -> None:
        if item["metadata"]["name"] == "odd":
            raise KeyError("odd")
        told.append(item["metadata"]["name"])

    informer = Informer(cluster, PATH, observe)
    for name in ("odd", "before"):
        await cluster.create("/api/v1/namespaces/n/pods", {"metadata": {"name": name}})
    informer.start()
    await informer.synced()
    await until(lambda: cluster.watches == 1)
    await cluster.create("/api/v1/namespaces/n/pods", {"metadata": {"name": "after"}})
    await until(lambda: told == ["before", "after"])
    assert informer.get("n", "odd") is not None
    await informer.stop()
