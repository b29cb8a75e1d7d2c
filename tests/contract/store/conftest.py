"""Every kind of database that there is, each test with an empty one of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.migrate import migrate
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
def template(postgres: Postgres) -> str:
    """Give the name of a PostgreSQL database that has its tables and nothing else, to copy."""
    url = postgres.create_database()
    asyncio.run(prepare(url))
    return url.rpartition("/")[2]


async def prepare(url: str) -> None:
    """Migrate and leave."""
    database = Database(url)
    await migrate(database)
    await database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of a database of each kind, without tables."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/store.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.create_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of a database of each kind, with its tables."""
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path}/store.db"
        asyncio.run(prepare(url))
        return url
    server: Postgres = request.getfixturevalue("postgres")
    return server.create_database(request.getfixturevalue("template"))


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """Give a database of each kind, with its tables."""
    database = Database(url)
    yield database
    await database.close()
