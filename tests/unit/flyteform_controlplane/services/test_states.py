"""The StateService: fences, serials, what is kept, and who asks."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from flyteform.proto.flyteform.v1 import state_pb2
from flyteform_controlplane.domain import states
from flyteform_controlplane.domain.principals import Principal, check_method
from flyteform_controlplane.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    MissingEntityError,
    PermissionDeniedError,
    ResourceExhaustedError,
)
from flyteform_controlplane.services.states import StateService

if TYPE_CHECKING:
    from support.admin import World

ID = state_pb2.StateIdentifier(project="flytesnacks", domain="development", name="s")
MINUTE = timedelta(minutes=1)


class States:
    """The calls, with less to write."""

    def __init__(self, world: World) -> None:
        self.service = StateService(world.admin.backend)

    async def lock(self, token: str = "t", where: state_pb2.StateIdentifier = ID, ttl: timedelta = MINUTE) -> Any:  # noqa: S107 - names a lock
        """Take the lock."""
        request = state_pb2.LockStateRequest(id=where, token=token, holder="me")
        request.ttl.FromTimedelta(ttl)
        return await self.service.LockState(request, None)

    async def put(self, fence: int, serial: int, document: bytes) -> None:
        """Put a document."""
        await self.service.PutState(
            state_pb2.PutStateRequest(id=ID, fence=fence, serial=serial, document=document), None
        )

    async def get(self, serial: int = 0) -> bytes:
        """Return a document."""
        return (await self.service.GetState(state_pb2.GetStateRequest(id=ID, serial=serial), None)).document


@pytest.fixture
def service(world: World) -> States:
    """Give the service."""
    return States(world)


async def test_serials_grow_and_the_same_put_again_is_none(service: States) -> None:
    """A put that is sent twice is done once; an older serial, or the same with another document, is refused."""
    fence = (await service.lock()).fence
    await service.put(fence, 3, b"three")
    await service.put(fence, 3, b"three")
    for serial in (3, 2):
        with pytest.raises(FailedPreconditionError, match=f"serial {serial} does not follow 3"):
            await service.put(fence, serial, b"other")
    assert await service.get() == b"three"


async def test_the_lock_with_the_same_token_is_the_same_lock(service: States) -> None:
    """An answer that was lost can be asked for again; another token is refused, and told the holder."""
    first, again = await service.lock(), await service.lock()
    assert (first.granted, again.granted, first.fence) == (True, True, again.fence)
    other = await service.lock("u")
    assert (other.granted, other.lock.holder) == (False, "me")


async def test_without_the_lock_nothing_is_put(service: States) -> None:
    """Neither before a lock nor after it was given back, nor with another fence."""
    with pytest.raises(FailedPreconditionError, match="nobody holds"):
        await service.put(0, 1, b"x")
    fence = (await service.lock()).fence
    with pytest.raises(FailedPreconditionError):
        await service.put(fence + 1, 1, b"x")
    await service.service.UnlockState(state_pb2.UnlockStateRequest(id=ID, fence=fence), None)
    for wrong in (fence, 0):
        with pytest.raises(FailedPreconditionError):
            await service.put(wrong, 1, b"x")
    with pytest.raises(MissingEntityError):
        await service.get()


async def test_only_the_newest_documents_are_kept(service: States) -> None:
    """The last ones can be asked for by serial, older ones are gone."""
    fence = (await service.lock()).fence
    for serial in range(1, states.KEPT_DOCUMENTS + 5):
        await service.put(fence, serial, str(serial).encode())
    newest = states.KEPT_DOCUMENTS + 4
    assert await service.get() == str(newest).encode()
    oldest = newest - states.KEPT_DOCUMENTS
    assert await service.get(oldest) == str(oldest).encode()
    with pytest.raises(MissingEntityError, match="with serial"):
        await service.get(oldest - 1)


async def test_too_large_a_document(service: States, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document over the limit is refused, and the last one stays."""
    monkeypatch.setattr(states, "MAX_DOCUMENT_BYTES", 3)
    fence = (await service.lock()).fence
    await service.put(fence, 1, b"abc")
    with pytest.raises(ResourceExhaustedError, match="has 4 bytes"):
        await service.put(fence, 2, b"abcd")
    assert await service.get() == b"abc"


async def test_states_are_listed_by_project_and_domain(service: States) -> None:
    """Names in order, page by page, with size, serial and holder; other domains have their own."""
    for name in ("b", "a", "c"):
        await service.lock(where=state_pb2.StateIdentifier(project="flytesnacks", domain="development", name=name))
    await service.lock(where=state_pb2.StateIdentifier(project="flytesnacks", domain="staging", name="z"))
    request = state_pb2.ListStatesRequest(project="flytesnacks", domain="development", limit=2)
    first = await service.service.ListStates(request, None)
    assert [(row.id.name, row.serial, row.lock.holder) for row in first.states] == [("a", 0, "me"), ("b", 0, "me")]
    request.token = first.token
    assert [row.id.name for row in (await service.service.ListStates(request, None)).states] == ["c"]


@pytest.mark.parametrize(
    "where",
    [
        {"project": "", "domain": "development", "name": "s"},
        {"project": "flytesnacks", "domain": "", "name": "s"},
        {"project": "flytesnacks", "domain": "development", "name": ""},
        {"project": "flytesnacks", "domain": "development", "name": "s" * 256},
        {"project": "nobody", "domain": "development", "name": "s"},
        {"project": "flytesnacks", "domain": "nowhere", "name": "s"},
    ],
)
async def test_places_that_are_none(service: States, where: dict[str, str]) -> None:
    """A state lies in a project and domain that are there, and has a name of bearable length."""
    with pytest.raises(InvalidArgumentError):
        await service.lock(where=state_pb2.StateIdentifier(**where))


@pytest.mark.parametrize("ttl", [timedelta(), timedelta(hours=2), -MINUTE])
async def test_times_that_are_none(service: States, ttl: timedelta) -> None:
    """A lock lasts for a second to an hour."""
    with pytest.raises(InvalidArgumentError, match="ttl"):
        await service.lock(ttl=ttl)


def test_data_planes_may_not_read_states() -> None:
    """What was provisioned is nothing that a cluster needs to know."""
    cluster = Principal("c", frozenset({"dataplane"}), 0.0, cluster="c")
    with pytest.raises(PermissionDeniedError):
        check_method(cluster, "/flyteform.v1.StateService/GetState")
