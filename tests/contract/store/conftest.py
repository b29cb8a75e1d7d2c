"""Every kind of database that there is, each test with an empty one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.migrate import migrate
from flyteform_controlplane.store.tables_duties import metadata
from support.postgres import Postgres, running_postgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Give a PostgreSQL server for all tests of this process."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> str:
    """Give the URL of a PostgreSQL database with its tables, which all tests use one after the other."""
    url = postgres.create_database()
    asyncio.run(prepare(url))
    return url


@pytest.fixture
def postgres_url(migrated: str) -> str:
    """Give the URL of a PostgreSQL database with its tables and no rows: cheaper than one for each test."""
    asyncio.run(clear(migrated))
    return migrated


async def prepare(url: str) -> None:
    """Make the tables."""
    database = Database(url)
    await migrate(database)
    await database.close()


async def clear(url: str) -> None:
    """Delete all rows."""
    database = Database(url)
    async with database.transaction() as tx:
        for table in reversed(metadata.sorted_tables):
            await tx.execute(table.delete())
    await database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of a database of each kind, without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/bare.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.create_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of a database of each kind, with its tables and no rows."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    url = f"sqlite:///{tmp_path}/store.db"
    asyncio.run(prepare(url))
    return url


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """Give a database of each kind, with its tables and no rows."""
    database = Database(url)
    yield database
    await database.close()
