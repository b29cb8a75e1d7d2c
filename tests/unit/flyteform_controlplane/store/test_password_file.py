"""A database's password in a file that somebody replaces now and then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from flyteform.errors import InvalidInputError
from flyteform_controlplane.errors import UnavailableError
from flyteform_controlplane.store.database import Database
from support.postgres import running_postgres

if TYPE_CHECKING:
    from pathlib import Path

URL = "postgresql://guarded@127.0.0.1:{}/postgres?passwordfile={}"


async def _user(database: Database) -> str:
    async with database.reading() as connection:
        return str((await connection.execute(text("SELECT current_user"))).scalar())


async def _opened(port: int, file: Path) -> str:
    database = Database(URL.format(port, file))
    try:
        return await _user(database)
    finally:
        await database.close()


def test_password_is_read_anew(tmp_path: Path) -> None:
    """A connection takes the password that is in the file when it is opened; a wrong or missing one is unavailable."""
    with running_postgres() as server:
        rules = server.directory / "data" / "pg_hba.conf"
        rules.write_text("host all guarded 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
        server.execute("CREATE ROLE guarded LOGIN PASSWORD 'first'; SELECT pg_reload_conf()")
        file = tmp_path / "password"
        with pytest.raises(UnavailableError, match=str(file)):
            asyncio.run(_opened(server.port, file))
        file.write_text("first\n")
        assert asyncio.run(_opened(server.port, file)) == "guarded"
        server.execute("ALTER ROLE guarded PASSWORD 'second'")
        with pytest.raises(UnavailableError, match="cannot be reached"):
            asyncio.run(_opened(server.port, file))
        file.write_text("second")
        assert asyncio.run(_opened(server.port, file)) == "guarded"


@pytest.mark.parametrize(
    "url", ["sqlite:////tmp/a?passwordfile=/b", "postgresql://u:p@h/d?passwordfile=/b", f"{URL}&passwordfile=/b"]
)
def test_wrong_urls(url: str) -> None:
    """A password beside the file, two files, and SQLite are refused without repeating the password."""
    with pytest.raises(InvalidInputError, match="passwordfile") as refused:
        Database(url.format(5432, "/a"))
    assert ":p@" not in str(refused.value)
