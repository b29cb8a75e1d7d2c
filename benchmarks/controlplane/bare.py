"""The floors of a database: a bare durable INSERT and a bare SELECT by key, through the bare driver."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from itertools import count
from typing import TYPE_CHECKING, Any

import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

ROW = b"x" * 500
SECONDS = 0.5
TABLE = "CREATE TABLE floor (id {number}, name VARCHAR(255) UNIQUE, data {binary})"


def sqlite_rates(folder: Path) -> tuple[float, float]:
    """Return INSERTs and SELECTs per second; SQLite has one writer however many clients there are."""
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(TABLE.format(number="INTEGER PRIMARY KEY", binary="BLOB"))
    insert = lambda n: connection.execute("INSERT INTO floor (name, data) VALUES (?, ?)", (f"r{n}", ROW))  # noqa: E731 - shown beside the other
    select = lambda n: connection.execute("SELECT * FROM floor WHERE name = ?", (f"r{n % 100}",)).fetchall()  # noqa: E731 - shown beside the other
    rates = []
    for work in (insert, select):
        done, started = 0, time.perf_counter()
        while time.perf_counter() < started + SECONDS:
            work(done)
            done += 1
        rates.append(done / (time.perf_counter() - started))
    connection.close()
    return rates[0], rates[1]


def postgres_rates(url: str, clients: int) -> tuple[float, float]:
    """Return INSERTs and SELECTs per second of so many clients with a connection each."""
    return uvloop.run(_postgres_rates(url, clients))


async def _postgres_rates(url: str, clients: int) -> tuple[float, float]:
    import asyncpg

    connections = await asyncio.gather(*(asyncpg.connect(url) for _ in range(clients)))
    await connections[0].execute("DROP TABLE IF EXISTS floor")
    await connections[0].execute(TABLE.format(number="BIGSERIAL PRIMARY KEY", binary="BYTEA"))
    inserts = await _rate(connections, "INSERT INTO floor (name, data) VALUES ($1, $2)", lambda n: (f"r{n}", ROW))
    selects = await _rate(connections, "SELECT * FROM floor WHERE name = $1", lambda n: (f"r{n % 100}",))
    await asyncio.gather(*(connection.close() for connection in connections))
    return inserts, selects


async def _rate(connections: Sequence[Any], statement: str, arguments: Callable[[int], tuple[object, ...]]) -> float:
    numbers = count()
    started = time.perf_counter()

    async def work(connection: Any) -> int:
        done = 0
        while time.perf_counter() < started + SECONDS:
            await connection.fetch(statement, *arguments(next(numbers)))
            done += 1
        return done

    total = sum(await asyncio.gather(*(work(connection) for connection in connections)))
    return total / (time.perf_counter() - started)
