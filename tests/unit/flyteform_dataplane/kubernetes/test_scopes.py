"""An operator whose rights end at some namespaces sees what is in these, and in those that it learns of."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from flyteform.errors import InvalidInputError
from flyteform_dataplane.kubernetes.scopes import Informers, Namespaces, listed, look
from support.fake_cluster import FakeCluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Json = dict[str, Any]
PODS = "/api/v1/pods"


class Divided(FakeCluster):
    """A cluster that lets its reader into some namespaces only; `asked` are the collections that were read."""

    def __init__(self, *allowed: str) -> None:
        super().__init__()
        self.allowed = set(allowed)
        self.asked: list[str] = []

    async def get(self, path: str, **query: str) -> Json:
        """Return a list where that is allowed."""
        self.asked.append(path)
        if path.removeprefix("/api/v1/namespaces/").partition("/")[0] not in self.allowed:
            raise InvalidInputError(f"Kubernetes refuses it: {path} is forbidden")
        return await super().get(path, **query)

    async def get_metadata(self, path: str, **query: str) -> Json:
        """Return a list where that is allowed."""
        return await self.get(path, **query)

    async def make(self, namespace: str, name: str) -> None:
        """Make a pod."""
        await self.create(f"/api/v1/namespaces/{namespace}/pods", {"metadata": {"name": name, "namespace": namespace}})


@pytest.fixture
def cluster() -> Divided:
    """Return one that lets into two namespaces."""
    return Divided("a", "b")


@pytest.fixture
async def informers(cluster: Divided) -> AsyncIterator[tuple[Informers, Namespaces, list[str]]]:
    """Return informers of one namespace, and what they tell."""
    namespaces, told = Namespaces(["a"]), list[str]()
    made = Informers(cluster, PODS, lambda item, _: told.append(item["metadata"]["name"]), namespaces)
    yield made, namespaces, told
    await made.stop()


async def until(condition: object) -> None:
    """Wait until something is so."""
    assert callable(condition)
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - told by a plain callback
            await asyncio.sleep(0.005)


async def test_only_the_named_namespaces_are_read(
    cluster: Divided, informers: tuple[Informers, Namespaces, list[str]]
) -> None:
    """What is elsewhere is neither seen nor asked for, and nothing is asked of the whole cluster."""
    for namespace in ("a", "b"):
        await cluster.make(namespace, f"in-{namespace}")
    watched, _, told = informers
    watched.start()
    await watched.synced()
    assert told == ["in-a"]
    assert (watched.get("a", "in-a") is not None, watched.get("b", "in-b")) == (True, None)
    assert set(cluster.asked) == {"/api/v1/namespaces/a/pods"}


async def test_a_namespace_that_is_learned_is_watched_from_then_on(
    cluster: Divided, informers: tuple[Informers, Namespaces, list[str]]
) -> None:
    """What is there already and what comes later; learning it twice changes nothing."""
    watched, namespaces, told = informers
    await cluster.make("b", "before")
    watched.start()
    await watched.synced()
    namespaces.learn(["b", "b", ""])
    await watched.synced_in("b")
    await until(lambda: cluster.watches == 2)
    await cluster.make("b", "after")
    await until(lambda: told == ["before", "after"])
    assert namespaces.names() == ["a", "b"]
    assert cluster.asked.count("/api/v1/namespaces/b/pods") == 1


async def test_a_namespace_that_may_not_be_read_stops_nobody(
    cluster: Divided, informers: tuple[Informers, Namespaces, list[str]]
) -> None:
    """The others are seen, and it is seen itself as soon as it may be."""
    watched, namespaces, told = informers
    for namespace in ("a", "c"):
        await cluster.make(namespace, f"in-{namespace}")
    namespaces.learn(["c"])
    watched.start()
    async with asyncio.timeout(60):
        await watched.synced()
    assert told == ["in-a"]
    cluster.allowed.add("c")
    await until(lambda: "in-c" in told)


async def test_lists_pass_over_what_may_not_be_read(cluster: Divided) -> None:
    """One refusal among namespaces is a line in the log; of the whole cluster it is an error that says why."""
    for namespace in ("a", "b", "c"):
        await cluster.make(namespace, f"in-{namespace}")
    some = Namespaces(["c", "a"])
    assert [item["metadata"]["name"] async for item in listed(cluster, PODS, some, "")] == ["in-a"]
    await look(cluster, PODS, some)
    everywhere = Namespaces()
    with pytest.raises(InvalidInputError, match="is forbidden"):
        await look(cluster, PODS, everywhere)
    everywhere.learn(["a"])
    assert everywhere.paths(PODS) == [PODS]
