"""Pages of a long list: the first one against one far behind, read on to by tokens, and jumped to."""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import time
from typing import TYPE_CHECKING

import grpc
from flyteidl.admin.execution_pb2 import ExecutionList

from benchmarks.controlplane.requests import ADMIN, PAGE, page
from benchmarks.measure import report
from flyteform_controlplane.store.tables import executions

if TYPE_CHECKING:
    from pathlib import Path

PAGES = 1_000
ROUNDS = 15
PAUSE_SECONDS = 1.0
STEP = 50_000  # in one transaction, as the server wants to write now and then
# Copies of the row with the given name, older than all others, a second apart.
_COPY = "INSERT INTO executions (execution_name, created_at, {columns}) SELECT {name}, {at}, {columns} FROM {source}"
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


def deep_lists(database: str, address: str, count: int) -> None:
    """Print how long a page far behind takes, in times of the first one."""
    far = min(PAGES, count // PAGE)
    with grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)]) as channel:
        call = channel.unary_unary(f"{ADMIN}ListExecutions")

        def ms(token: str) -> float:
            started = time.perf_counter()
            call(page(token=token).SerializeToString())
            return (time.perf_counter() - started) * 1000

        # Nothing is known of the list; then its first page is read, and a moment after that somebody jumps.
        cold = ms(str((far - 1) * PAGE - 51))
        ms("")
        time.sleep(PAUSE_SECONDS)
        token = ""
        first_jump = ms(str((far - 1) * PAGE + 51))
        for _ in range(far - 1):
            token = ExecutionList.FromString(call(page(token=token).SerializeToString())).token
        ms("")
        first = statistics.median(ms("") for _ in range(ROUNDS))
        read_on = statistics.median(ms(token) for _ in range(ROUNDS))
        # Offsets at which no page ended.
        jumped = statistics.median(ms(str(int(token) - 50 + number)) for number in range(ROUNDS))
    report(
        f"{database}, page {far} of {count} executions, newest first, in times of page 1",
        read_on / first,
        goal="goal: below 3",
        detail=f"ms: page 1 {first:.2f}, read on to {read_on:.2f}, jumped to {jumped:.2f} "
        f"({jumped / first:.1f} times page 1), the first jump after page 1 {first_jump:.2f} "
        f"({first_jump / first:.1f}), without any page before {cold:.2f} ({cold / first:.1f})",
    )
