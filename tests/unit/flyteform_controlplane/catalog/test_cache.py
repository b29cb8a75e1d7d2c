"""The cache service: one output for each key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from flyteidl.cacheservice import cacheservice_pb2 as messages

from flyteform_controlplane.errors import EntityExistsError, InvalidArgumentError, MissingEntityError
from flyteform_controlplane.services.cache import CacheService
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

START = datetime(2024, 5, 1, tzinfo=UTC)
CONTEXT = object()


class Cache:
    """The service with a clock that the test sets."""

    def __init__(self, database: Database) -> None:
        self.time = START
        self.service = CacheService(database, now=lambda: self.time)

    async def put(self, key: str, uri: str, *, overwrite: bool = False) -> None:
        """Cache a URI."""
        output = messages.CachedOutput(output_uri=uri)
        await self.service.Put(messages.PutCacheRequest(key=key, output=output, overwrite=overwrite), CONTEXT)

    async def get(self, key: str) -> messages.CachedOutput:
        """Return what is cached."""
        return (await self.service.Get(messages.GetCacheRequest(key=key), CONTEXT)).output


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[Cache]:
    """Give a cache on a database of its own."""
    database = Database(f"sqlite:///{tmp_path}/control.db")
    await migrate(database)
    yield Cache(database)
    await database.close()


async def test_an_output_is_put_found_overwritten_and_deleted(cache: Cache) -> None:
    """The first stays unless overwritten; its times say when it was made and changed; gone is NOT_FOUND."""
    await cache.put("k", "file:///first")
    cache.time += timedelta(hours=1)
    with pytest.raises(EntityExistsError):
        await cache.put("k", "file:///second")
    assert (await cache.get("k")).output_uri == "file:///first"
    await cache.put("k", "file:///third", overwrite=True)
    found = await cache.get("k")
    assert found.output_uri == "file:///third"
    assert found.metadata.created_at.ToDatetime(UTC) == START
    assert found.metadata.last_updated_at.ToDatetime(UTC) == cache.time
    await cache.service.Delete(messages.DeleteCacheRequest(key="k"), CONTEXT)
    with pytest.raises(MissingEntityError):
        await cache.get("k")
    with pytest.raises(MissingEntityError):
        await cache.service.Delete(messages.DeleteCacheRequest(key="k"), CONTEXT)


async def test_overwriting_nothing_creates(cache: Cache) -> None:
    """A forced put needs no earlier one."""
    await cache.put("k", "file:///x", overwrite=True)
    assert (await cache.get("k")).output_uri == "file:///x"


async def test_incomplete_requests_are_refused(cache: Cache) -> None:
    """A key and an output are needed."""
    with pytest.raises(InvalidArgumentError, match="key"):
        await cache.get("")
    with pytest.raises(InvalidArgumentError, match="output"):
        await cache.service.Put(messages.PutCacheRequest(key="k"), CONTEXT)


async def test_reservations_follow_the_catalogs_rules(cache: Cache) -> None:
    """One live owner; released or expired, another's."""

    async def hold(owner: str) -> str:
        request = messages.GetOrExtendReservationRequest(key="k", owner_id=owner)
        return (await cache.service.GetOrExtendReservation(request, CONTEXT)).reservation.owner_id

    assert [await hold("one"), await hold("two")] == ["one", "one"]
    await cache.service.ReleaseReservation(messages.ReleaseReservationRequest(key="k", owner_id="one"), CONTEXT)
    assert await hold("two") == "two"
    cache.time += timedelta(seconds=30)
    assert await hold("one") == "one"
