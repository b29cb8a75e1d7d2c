"""Migrations of the schema, forth and back, on each kind of database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from flyteform_controlplane.errors import FailedPreconditionError
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.migrate import BASE, head_revision, migrate
from flyteform_controlplane.store.seed import seed
from flyteform_controlplane.store.tables_duties import metadata

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def bare(bare_url: str) -> AsyncIterator[Database]:
    """Give a database without tables."""
    database = Database(bare_url)
    yield database
    await database.close()


def differences(connection: Connection) -> list[Any]:
    """Return what a database lacks or has too much."""
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


def tables(connection: Connection) -> list[str]:
    """Return the names of all tables."""
    return inspect(connection).get_table_names()


async def test_schema_goes_up_and_down_and_up_again(bare: Database) -> None:
    """Up, the tables are those that the code declares; down, nothing is left of them."""
    for _ in range(2):
        await migrate(bare)
        async with bare.reading() as connection:
            assert await connection.run_sync(differences) == []
        await migrate(bare, to=BASE)
        async with bare.reading() as connection:
            assert await connection.run_sync(tables) == ["alembic_version"]


async def test_each_migration_can_be_undone_by_itself(bare: Database) -> None:
    """Step by step down, the schema has the version that was asked for."""
    await migrate(bare)
    for number in range(int(head_revision()) - 1, 0, -1):
        await migrate(bare, to=f"{number:04}")
        async with bare.reading() as connection:
            found = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar()
        assert found == f"{number:04}"


async def test_replicas_that_start_at_once_migrate_and_seed_once(bare: Database) -> None:
    """Several starts at once, and one more, leave one schema and one project."""
    await asyncio.gather(migrate(bare), migrate(bare), migrate(bare))
    await asyncio.gather(seed(bare), seed(bare), seed(bare))
    await migrate(bare)
    async with bare.reading() as connection:
        assert (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalars().all() == [
            head_revision()
        ]
        assert (await connection.execute(text("SELECT count(*) FROM projects"))).scalar() == 1


async def test_database_of_a_newer_version_is_refused(database: Database) -> None:
    """A schema that this program does not know is named, with what to do, and left alone; passwords are not shown."""
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    try:
        with pytest.raises(FailedPreconditionError, match="schema version 9999") as refusal:
            await migrate(database)
        assert refusal.value.remedy is not None
        async with database.reading() as connection:
            assert (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar() == "9999"
    finally:
        async with database.transaction() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = :head"), {"head": head_revision()})
