"""What every adapter of the store ports does, over each kind of database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from flyteidl.admin.common_pb2 import NAMED_ENTITY_ARCHIVED, Labels
from flyteidl.admin.project_pb2 import Project
from flyteidl.admin.task_pb2 import TaskClosure
from flyteidl.core.identifier_pb2 import ResourceType

from flyteform_controlplane.domain.filters import Entity, Filter, Function, Query, Sort, parse_filters
from flyteform_controlplane.domain.records import NamedEntityRecord, ProjectRecord, TaskRecord
from flyteform_controlplane.errors import EntityExistsError, InvalidArgumentError, TransactionConflictError
from flyteform_controlplane.store.sql.store import SqlStore

if TYPE_CHECKING:
    from flyteform_controlplane.store.database import Database
    from flyteform_controlplane.store.ports import Store

TASK = ResourceType.TASK


@pytest.fixture
def store() -> Store:
    """Give the adapters."""
    return SqlStore()


def task(name: str, version: str = "v1", project: str = "p") -> TaskRecord:
    """Make a record."""
    return TaskRecord(
        project=project, domain="d", name=name, version=version, digest=b"d", closure=TaskClosure(), type="t"
    )


async def test_record_comes_back_as_it_was_added(database: Database, store: Store) -> None:
    """Messages, enums and times with their zone survive; the row gets a number."""
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=5)))
    labels = Labels(values={"a": "b"})
    record = ProjectRecord(
        identifier="p", name="P", labels=labels, state=Project.ARCHIVED, created_at=at, updated_at=at
    )
    async with database.transaction() as tx:
        number = await store.projects.add(tx, record)
    async with database.reading() as tx:
        found = await store.projects.get(tx, "p")
        assert found == replace(record, id=number)
        assert found.created_at.tzinfo is UTC
        assert await store.projects.by_id(tx, number) == found
        assert await store.projects.get(tx, "q") is None
        assert await store.projects.by_id(tx, number + 1) is None


async def test_taken_key_is_refused_and_the_transaction_undone(database: Database, store: Store) -> None:
    """A second row with the key raises, and what its transaction did before is gone."""
    async with database.transaction() as tx:
        await store.tasks.add(tx, task("t"))

    async def add_two() -> None:
        async with database.transaction() as tx:
            await store.tasks.add(tx, task("other"))
            await store.tasks.add(tx, task("t"))

    with pytest.raises(EntityExistsError, match="value with matching <p, d, t, v1> already exists"):
        await add_two()
    async with database.reading() as tx:
        assert [row.name for row in await store.tasks.page(tx, Query())] == ["t"]


async def test_many_rows_are_added_read_and_saved(database: Database, store: Store) -> None:
    """Numbers come back in the order of the records, whatever their number; nothing is done for none."""
    records = [task(f"t{number}") for number in range(2500)]
    async with database.transaction() as tx:
        numbers = await store.tasks.add_many(tx, records)
        assert await store.tasks.add_many(tx, []) == []
        await store.tasks.save_many(tx, [])
        keys = [("p", "d", f"t{number}", "v1") for number in (3, 1, 9999)]
        found = await store.tasks.get_many(tx, keys)
        assert {key: row.id for key, row in found.items()} == {keys[0]: numbers[3], keys[1]: numbers[1]}
        assert await store.tasks.get_many(tx, []) == {}
        await store.tasks.save_many(tx, [replace(row, type="changed") for row in found.values()])
        changed = await store.tasks.page(tx, Query(filters=parse_filters("eq(type,changed)", Entity.TASK)))
    assert [row.name for row in changed] == ["t1", "t3"]


async def test_rows_are_deleted_by_key(database: Database, store: Store) -> None:
    """Delete says whether there was anything."""
    async with database.transaction() as tx:
        await store.tasks.add(tx, task("t"))
        assert await store.tasks.delete(tx, "p", "d", "t", "v1")
        assert not await store.tasks.delete(tx, "p", "d", "t", "v1")


async def test_pages_are_ordered_and_limited_to_their_scope(database: Database, store: Store) -> None:
    """`where` limits, sort orders, and rows that are equal in it keep one order over all pages."""
    async with database.transaction() as tx:
        await store.tasks.add_many(tx, [task(name, project=p) for p in ("p", "q") for name in ("b", "a", "c")])
        where = {"project": "p"}
        names = [row.name for row in await store.tasks.page(tx, Query(sort=Sort("name", ascending=False)), where)]
        assert names == ["c", "b", "a"]
        pages = [
            await store.tasks.page(tx, Query(sort=Sort("type", ascending=True), limit=2, offset=offset), where)
            for offset in (0, 2)
        ]
    assert [row.name for page in pages for row in page] == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("contains(name,a)", ["ab", "a_c", "a%d"]),
        ("contains(name,a_)", ["a_c"]),
        ("contains(name,%)", ["a%d"]),
        ("value_in(name,ab;x)", ["ab", "x"]),
        ("value_not_in(name,ab;x)", ["a_c", "a%d"]),
        ("gte(name,ab)", ["ab", "x"]),
        ("ne(name,x)+ne(name,ab)", ["a_c", "a%d"]),
    ],
)
async def test_filters_compare_texts_literally(database: Database, store: Store, text: str, names: list[str]) -> None:
    """What looks like a wildcard in a value is none."""
    async with database.transaction() as tx:
        await store.tasks.add_many(tx, [task(name) for name in ("ab", "a_c", "a%d", "x")])
        found = await store.tasks.page(tx, Query(filters=parse_filters(text, Entity.TASK)))
    assert [row.name for row in found] == names


async def test_names_are_distinct_and_joined_with_their_metadata(database: Database, store: Store) -> None:
    """A name counts once for all versions; without metadata it is active and has no description."""
    async with database.transaction() as tx:
        await store.tasks.add_many(tx, [task("b"), task("a"), task("a", "v2"), task("a", project="q")])
        known = NamedEntityRecord(
            resource_type=TASK, project="p", domain="d", name="b", description="B", state=NAMED_ENTITY_ARCHIVED
        )
        await store.named_entities.add(tx, known)
        everything = await store.names.entities(tx, TASK, "p", "d", Query())
        assert [(row.name, row.description, row.state) for row in everything] == [("a", "", 0), ("b", "B", 1)]
        archived = Query(filters=(Filter(Function.EQUAL, None, "state", ("1",)),))
        assert [row.name for row in await store.names.entities(tx, TASK, "p", "d", archived)] == ["b"]
        backwards = Query(sort=Sort("name", ascending=False), limit=1)
        assert await store.names.identifiers(tx, TASK, "p", "d", backwards) == [("p", "d", "b")]
        assert await store.names.exists(tx, TASK, "q", "d", "a")
        assert not await store.names.exists(tx, TASK, "q", "d", "b")
        with pytest.raises(InvalidArgumentError):
            await store.names.identifiers(tx, ResourceType.DATASET, "p", "d", Query())


async def test_seen_rows_are_written_with_new_ones(database: Database, store: Store) -> None:
    """What was seen is written over and what is new is added, all fields of it, and keeps its number."""
    async with database.transaction() as tx:
        numbers = await store.tasks.add_many(tx, [task("a"), task("b")])
    keys = [("p", "d", name, "v1") for name in ("a", "b", "c")]
    async with database.reading() as tx:
        seen = await store.tasks.see_many(tx, keys)
        assert {key: one.record for key, one in seen.items()} == await store.tasks.peek_many(tx, keys)
        assert await store.tasks.see_many(tx, []) == await store.tasks.peek_many(tx, []) == {}
    assert [one.record.id for one in seen.values()] == numbers
    changed = [replace(one.record, type="changed") for one in seen.values()]
    async with database.together() as tx:
        await store.tasks.put_seen(tx, [*changed, task("c")], {one.record.id: one.version for one in seen.values()})
        await store.tasks.put_seen(tx, [], {})
        await store.tasks.append_many(tx, [task("d"), task("e")])
        await store.tasks.append_many(tx, [])
    async with database.reading() as tx:
        rows = await store.tasks.page(tx, Query())
    assert [row.id for row in rows[:2]] == numbers
    assert [(row.name, row.type) for row in rows] == [
        ("a", "changed"),
        ("b", "changed"),
        ("c", "t"),
        ("d", "t"),
        ("e", "t"),
    ]


@pytest.mark.parametrize("meanwhile", ["changed", "added", "changed twice to the same"])
async def test_what_changed_since_it_was_seen_is_not_written_over(
    database: Database, store: Store, meanwhile: str
) -> None:
    """Then nothing of the block is written, not even what nobody else has touched."""
    async with database.transaction() as tx:
        await store.tasks.add_many(tx, [task("a"), task("b")])
    keys = [("p", "d", name, "v1") for name in ("a", "b", "c")]
    async with database.reading() as tx:
        seen = await store.tasks.see_many(tx, keys)
    first = seen[keys[0]].record
    async with database.transaction() as tx:
        if meanwhile == "added":
            await store.tasks.add(tx, task("c"))
        else:
            await store.tasks.save_many(tx, [replace(first, type="theirs")])
    if meanwhile == "changed twice to the same":
        async with database.transaction() as tx:
            await store.tasks.save_many(tx, [replace(first, type="theirs as well")])

    unrelated = NamedEntityRecord(resource_type=TASK, project="p", domain="d", name="n")

    async def write() -> None:
        ours = [replace(one.record, type="ours") for one in seen.values()]
        async with database.together() as tx:
            await store.named_entities.append_many(tx, [unrelated])
            await store.tasks.put_seen(tx, [*ours, task("c")], {one.record.id: one.version for one in seen.values()})

    with pytest.raises(TransactionConflictError):
        await write()
    async with database.reading() as tx:
        assert "ours" not in {row.type for row in await store.tasks.page(tx, Query())}
        assert await store.named_entities.page(tx, Query()) == []
