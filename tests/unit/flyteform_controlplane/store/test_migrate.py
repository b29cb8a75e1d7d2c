"""Migrations of the schema."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from flyteform_controlplane.errors import FailedPreconditionError
from flyteform_controlplane.store import tables_duties  # noqa: F401 - adds its tables to the metadata
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.migrate import head_revision, migrate
from flyteform_controlplane.store.seed import seed
from flyteform_controlplane.store.tables import metadata

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """Give an empty SQLite file."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/control.db")
    yield database
    await database.close()


def differences(connection: Connection) -> list[Any]:
    """Return what a database lacks or has too much."""
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


async def test_migrated_database_has_the_tables_that_the_code_declares(database: Database) -> None:
    """Migrations and table declarations agree in every table, column, index and constraint."""
    await migrate(database)
    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []


async def test_migration_and_seed_may_be_repeated_and_may_meet(database: Database) -> None:
    """A second start changes nothing, nor do two starts at once."""
    await asyncio.gather(migrate(database), migrate(database))
    await asyncio.gather(seed(database), seed(database))
    await migrate(database)
    async with database.reading() as connection:
        assert (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalars().all() == [
            head_revision()
        ]
        assert (await connection.execute(text("SELECT count(*) FROM projects"))).scalar() == 1


async def test_database_of_a_newer_version_is_refused(database: Database) -> None:
    """A schema that this program does not know is named, with what to do, and left alone."""
    await migrate(database)
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(FailedPreconditionError, match="schema version 9999") as refusal:
        await migrate(database)
    assert refusal.value.remedy is not None
    async with database.reading() as connection:
        assert (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar() == "9999"
