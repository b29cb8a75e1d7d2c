"""Pages of a long list: the first one against one far behind, read on to by tokens, and jumped to."""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import grpc

from benchmarks.controlplane.requests import ADMIN, DOMAIN, PAGE, page
from benchmarks.measure import report
from flyteform_controlplane.store.counting import ROWS
from flyteform_controlplane.store.tables import executions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from benchmarks.controlplane.servers import Server

PAGES = 1_000
ROUNDS = 15
STARTS = 5
PATIENCE_SECONDS = 300.0
STEP = 50_000  # in one transaction, as the server wants to write now and then
# Copies of the row with the given name, older than all others, a second apart.
_COPY = "INSERT INTO executions (execution_name, created_at, {columns}) SELECT {name}, {at}, {columns} FROM {source}"
# How many executions are in blocks, and how many blocks have no number, or too large a one, yet.
_COUNTED = "SELECT coalesce(sum(number), 0) FROM execution_blocks"
_UNDONE = f"SELECT count(*) FROM execution_blocks WHERE number IS NULL OR number > {4 * ROWS}"  # noqa: S608 - a number
_OTHERS = ", ".join(
    f'"{column.name}"' for column in executions.columns if column.name not in ("id", "execution_name", "created_at")
)


def fill_sqlite(path: Path, count: int) -> None:
    """Put so many executions into the database."""
    source = "executions CROSS JOIN (WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
    source += "SELECT i FROM n) WHERE execution_name = 'page0'"
    at = "strftime('%Y-%m-%d %H:%M:%S.000000', '2020-01-01', '+' || i || ' seconds')"
    statement = _COPY.format(columns=_OTHERS, name="'deep' || i", at=at, source=source)
    connection = sqlite3.connect(path, timeout=60)
    for start in range(0, count, STEP):
        connection.execute(statement, (start + 1, min(start + STEP, count)))
        connection.commit()
    connection.close()


def fill_postgres(url: str, count: int) -> None:
    """Put so many executions into the database."""
    source = f"executions CROSS JOIN generate_series(1, {count}) i WHERE execution_name = 'page0'"
    at = "timestamptz '2020-01-01' + i * interval '1 second'"
    statement = _COPY.format(columns=_OTHERS, name="'deep' || i", at=at, source=source)

    async def fill() -> None:
        import asyncpg

        connection = await asyncpg.connect(url)
        await connection.execute(statement)
        await connection.execute("VACUUM ANALYZE executions")
        await connection.close()

    asyncio.run(fill())


def sqlite_number(path: Path, statement: str) -> int:
    """Ask the database for a number."""
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        return int(connection.execute(statement).fetchone()[0])


def postgres_number(url: str, statement: str) -> int:
    """Ask the database for a number."""

    async def ask() -> int:
        import asyncpg

        connection = await asyncpg.connect(url)
        try:
            return int(await connection.fetchval(statement))
        finally:
            await connection.close()

    return asyncio.run(ask())


def wait_for_blocks(asked: Callable[[str], int], count: int) -> None:
    """Wait until a control plane has counted the list in blocks, as it would have while the list grew.

    `asked` asks the database for a number.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while asked(_COUNTED) < count - 3 * ROWS or asked(_UNDONE):
        if time.monotonic() > until:
            raise RuntimeError("the executions were not counted")
        time.sleep(0.2)


def deep_lists(database: str, start: Callable[[], AbstractContextManager[Server]], count: int) -> None:
    """Print how long a page far behind takes, in times of the first one; `start` runs a control plane."""
    far = min(PAGES, count // PAGE)
    jump = (far - 1) * PAGE - 51  # where no page ends
    # Each in processes of its own, which do this once.
    first_call = _median_of_starts(start, lambda server: _timed(server, 0))
    first_call_jumped = _median_of_starts(start, lambda server: _timed(server, jump))
    unseen = _median_of_starts(start, lambda server: _timed(server, jump, after_another_list=True))
    with start() as server, _pages(server) as ms:
        for number in range(far):
            ms(number * PAGE)
        first, read_on = (statistics.median(ms(at) for _ in range(ROUNDS)) for at in (0, (far - 1) * PAGE))
        # Offsets at which no page ended, each another one.
        jumped = statistics.median(ms(jump - number) for number in range(ROUNDS))
    for how, ms_far, ms_first in (
        ("read on to", read_on, first),
        ("jumped to", jumped, first),
        ("jumped to in a process that has shown no page of the list", unseen, first),
        ("jumped to by the first call of a process, and page 1 too", first_call_jumped, first_call),
    ):
        report(
            f"{database}, page {far} of {count} executions, newest first, {how}, in times of page 1",
            ms_far / ms_first,
            goal="goal: below 3",
            detail=f"{ms_far:.2f} and {ms_first:.2f} ms",
        )


def _median_of_starts(start: Callable[[], AbstractContextManager[Server]], measure: Callable[[Server], float]) -> float:
    def once() -> float:
        with start() as server:
            return measure(server)

    return statistics.median(once() for _ in range(STARTS))


def _timed(server: Server, offset: int, *, after_another_list: bool = False) -> float:
    """Return the ms of one page in a process that has shown none, or only those of another list."""
    with _pages(server, "staging") as other, _pages(server) as ms:
        for _ in range(ROUNDS if after_another_list else 0):
            other(0)
        return ms(offset)


@contextmanager
def _pages(server: Server, domain: str = DOMAIN) -> Iterator[Callable[[int], float]]:
    """Give what reads the page at an offset and returns how many ms that took."""
    with grpc.insecure_channel(server.address, options=[("grpc.max_receive_message_length", -1)]) as channel:
        grpc.channel_ready_future(channel).result(PATIENCE_SECONDS)
        call = channel.unary_unary(f"{ADMIN}ListExecutions")

        def ms(offset: int) -> float:
            request = page(token=str(offset) if offset else "")
            request.id.domain = domain
            sent = request.SerializeToString()
            started = time.perf_counter()
            call(sent)
            return (time.perf_counter() - started) * 1000

        yield ms
