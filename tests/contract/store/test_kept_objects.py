"""Small objects that are kept in the database, in front of an object store, over each kind of database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from flyteidl.admin.task_pb2 import TaskClosure
from sqlalchemy import func, select

from flyteform.errors import InvalidInputError, NotFoundError
from flyteform.objects.local import LocalStore
from flyteform.objects.signing import UrlSigner
from flyteform_controlplane.domain.records import TaskRecord
from flyteform_controlplane.errors import EntityExistsError
from flyteform_controlplane.store.kept_objects import KEPT_BYTES, SCHEME, KeptObjects
from flyteform_controlplane.store.sql.store import SqlStore
from flyteform_controlplane.store.tables import kept_objects

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform_controlplane.store.database import Database

HOUR = timedelta(hours=1)
TASK = TaskRecord(project="p", domain="d", name="t", version="v", digest=b"d", closure=TaskClosure(), type="t")


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    """Give the store behind."""
    (tmp_path / "objects").mkdir()
    return LocalStore(f"file://{tmp_path}/objects", signer=UrlSigner(b"k" * 32, "http://host/objects"))


@pytest.fixture
def kept(database: Database, local: LocalStore) -> KeptObjects:
    """Give the store in front."""
    return KeptObjects(database, local)


async def keep(database: Database, kept: KeptObjects, path: str, data: bytes) -> str:
    """Write new content, and return its URI."""
    placed = await kept.place(f"{kept.prefix}/{path}", data)
    async with database.together() as tx:
        await kept.keep(tx, placed)
    return placed.uri


async def test_a_small_object_is_in_the_database_and_not_in_the_store(
    database: Database, kept: KeptObjects, local: LocalStore
) -> None:
    """Its URI says so and where it would be; it is read and described, here and by another process, until deleted."""
    uri = await keep(database, kept, "metadata/run/inputs", b"data")
    assert uri.startswith(SCHEME)
    assert uri.endswith("/metadata/run/inputs")
    assert [info async for info in kept.list(f"{kept.prefix}/")] == []
    for one in (kept, KeptObjects(database, local)):
        assert await one.get(uri) == b"data"
        info = await one.head(uri)
        assert info is not None
        assert (info.uri, info.size) == (uri, 4)
        with pytest.raises(InvalidInputError, match="4 bytes"):
            await one.get(uri, limit=3)
    await kept.delete(uri)
    await kept.delete(uri)
    assert await kept.head(uri) is None
    with pytest.raises(NotFoundError):
        await kept.get(uri)


async def test_names_never_meet(database: Database, kept: KeptObjects) -> None:
    """Two objects for the same place lie apart, in the database and in the store."""
    for data in (b"small", b"l" * (KEPT_BYTES + 1)):
        one = await keep(database, kept, "metadata/x", data + b"1")
        other = await keep(database, kept, "metadata/x", data + b"2")
        assert await kept.get(one) == data + b"1"
        assert await kept.get(other) == data + b"2"


async def test_row_and_object_are_written_together_or_not_at_all(database: Database, kept: KeptObjects) -> None:
    """Where the row is refused nothing of its object stays."""
    store = SqlStore()

    async def register() -> None:
        placed = await kept.place(f"{kept.prefix}/metadata/x", b"data")
        async with database.together() as tx:
            await store.tasks.append(tx, replace(TASK, short_description=placed.uri))
            await kept.keep(tx, placed)

    await register()
    with pytest.raises(EntityExistsError):
        await register()
    async with database.reading() as tx:
        assert (await tx.execute(select(func.count()).select_from(kept_objects))).scalar() == 1
        task = await store.tasks.get(tx, "p", "d", "t", "v")
    assert task is not None
    assert await kept.get(task.short_description) == b"data"


async def test_a_large_object_is_in_the_store(database: Database, kept: KeptObjects, local: LocalStore) -> None:
    """It is written when it is placed, and goes when there will be no row for it."""
    large = b"x" * (KEPT_BYTES + 1)
    placed = await kept.place(f"{kept.prefix}/metadata/large", large)
    async with database.together() as tx:
        await kept.keep(tx, placed)
    assert await local.get(placed.uri) == await kept.get(placed.uri) == large
    await kept.discard(placed)
    assert await local.head(placed.uri) is None


async def test_a_signed_url_is_of_a_copy(database: Database, kept: KeptObjects, local: LocalStore) -> None:
    """The copy has the object's content, whatever lay in its place; nobody gets a URL to change it by."""
    uri = await keep(database, kept, "metadata/run/inputs", b"data")
    copy = f"{kept.prefix}/metadata/run/inputs"
    await local.put(copy, b"left behind")
    for _ in range(2):
        signed = await kept.sign(uri, "GET", HOUR)
        assert signed.url.startswith("http://host/objects/metadata/run/inputs?method=GET")
        assert await local.get(copy) == b"data"
    with pytest.raises(InvalidInputError, match="never changes"):
        await kept.sign(uri, "PUT", HOUR)
    with pytest.raises(InvalidInputError, match="never changes"):
        await kept.put(uri, b"other")


@pytest.mark.parametrize("path", ["", "nothing", "0" * 32 + "/../../x", "' OR 1=1 --/x"])
async def test_what_is_no_kept_object_is_not_found(kept: KeptObjects, path: str) -> None:
    """A URI that nobody was given names nothing, whatever is in it."""
    assert await kept.head(f"{SCHEME}{path}") is None
    with pytest.raises(NotFoundError):
        await kept.sign(f"{SCHEME}{path}", "GET", HOUR)
