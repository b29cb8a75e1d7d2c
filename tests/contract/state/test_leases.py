"""Leases in time: renewed while they are held, known to be lost when they are, and two applies that want one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import obstore
import pytest
from obstore.store import MemoryStore

from flyteform.client.states import StateClient
from flyteform.provision.apply import ApplyResult
from flyteform.provision.errors import StalePlanError, StateLockedError, StateLostError
from flyteform.provision.ports import Holder
from flyteform.provision.provisioner import apply_plan, make_plan
from flyteform.provision.state_bucket import BucketBackend
from flyteform.provision.state_service import ServiceBackend
from flyteform.provision.state_store import DocumentStore
from support.control_plane import control_plane
from support.declarations import write_project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Place
    from flyteform.provision.ports import StateLease

ME, OTHER = Holder("me", "2026-01-01T00:00:00Z"), Holder("other", "2026-01-01T00:00:01Z")
URL, SERVICE_URL = "s3://bucket/s.json", "flyteform://flytesnacks/development/s"


async def until(condition: Callable[[], Any]) -> None:
    """Wait until a condition holds, for as long as a slow machine needs."""
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 - what happens elsewhere sets no event
            await asyncio.sleep(0.01)


async def lost(lease: StateLease) -> bool:
    """Say whether the lease is known to be lost."""
    try:
        lease.check()
    except StateLostError:
        return True
    return False


async def test_a_bucket_lease_is_renewed_beside_the_work() -> None:
    """It lasts longer and longer, without a write of its holder's; the document stays."""
    store = MemoryStore()
    backend = BucketBackend(URL, store, lease_seconds=3)
    lease = await backend.acquire(ME)
    await lease.write("one", 1)
    first = await backend.stored()

    async def renewed() -> bool:
        now = await backend.stored()
        assert first is not None
        assert now is not None
        return now.content.revision >= first.content.revision + 2

    await until(renewed)
    assert await backend.read() == "one"
    await lease.release()


async def test_a_service_lease_is_renewed_beside_the_work(tmp_path: Path) -> None:
    """It lasts longer, without a write of its holder's."""
    async with control_plane(tmp_path) as client:
        backend = ServiceBackend(SERVICE_URL, client.caller, lease_seconds=3)
        lease = await backend.acquire(ME)

        async def expires() -> float:
            async for state in StateClient(client.caller).list("flytesnacks", "development"):
                return float(state.lock.expires_at.ToNanoseconds())
            return 0.0

        first = await expires()

        async def renewed() -> bool:
            return await expires() > first

        await until(renewed)
        await lease.release()


async def test_a_lease_that_was_taken_is_known_to_be_lost(tmp_path: Path) -> None:
    """By the next renewal its holder knows, without having written anything."""
    async with control_plane(tmp_path) as client:
        for backend in (
            BucketBackend(URL, MemoryStore(), lease_seconds=3),
            ServiceBackend(SERVICE_URL, client.caller, lease_seconds=3),
        ):
            lease = await backend.acquire(ME)
            await backend.unlock()
            taken = await backend.acquire(OTHER)
            await until(lambda lease=lease: lost(lease))
            await lease.release()
            with pytest.raises(StateLockedError):
                await backend.acquire(ME)
            await taken.release()


async def test_a_lease_that_cannot_be_renewed_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who cannot reach the bucket for as long as the lease lasts has to believe that another one has it."""
    backend = BucketBackend(URL, MemoryStore(), lease_seconds=0.5)
    lease = await backend.acquire(ME)

    async def unreachable(*_arguments: Any, **_options: Any) -> Any:
        raise OSError("no route")

    monkeypatch.setattr("flyteform.provision.state_bucket.obstore.put_async", unreachable)
    await until(lambda: lost(lease))
    monkeypatch.setattr("flyteform.provision.state_bucket.obstore.put_async", obstore.put_async)
    await lease.release()


async def test_of_two_applies_at_once_one_writes(place: Place, tmp_path: Path) -> None:
    """One is applied; the other is refused, or, if it waits, told that its plan is out of date: never both."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path / "target") as client:
        stores = [DocumentStore(place.open()) for _ in range(3)]
        plans = [await make_plan(path, client, store) for store in stores]
        results = await asyncio.gather(
            apply_plan(plans[0], client, stores[0]),
            apply_plan(plans[1], client, stores[1]),
            apply_plan(plans[2], client, stores[2], wait=60),
            return_exceptions=True,
        )
        applied = [each for each in results if isinstance(each, ApplyResult)]
        assert len(applied) == 1
        assert applied[0].ok
        refused = [each for each in results if not isinstance(each, ApplyResult)]
        assert all(isinstance(each, StateLockedError | StalePlanError) for each in refused)
        assert not (await make_plan(path, client, stores[1])).has_changes
