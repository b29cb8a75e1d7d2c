"""The control plane under load, on SQLite and PostgreSQL, against the floors of the same machine in the same run.

A row per method and number of clients: calls (or events) per second, p50 and p99 in ms, the server's processor time
per call in ms, and two ratios: that time to the one of an empty grpc.aio method, and the rate to the one of as many
clients that do one bare INSERT (SELECT for reads) each, on the same database through the bare driver.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.controlplane.bare import postgres_rates, sqlite_rates
from benchmarks.controlplane.goals import CLIENTS as GOAL_CLIENTS
from benchmarks.controlplane.goals import report_goals
from benchmarks.controlplane.lists import (
    deep_lists,
    fill_postgres,
    fill_sqlite,
    postgres_number,
    sqlite_number,
    wait_for_blocks,
)
from benchmarks.controlplane.load import Client, Round
from benchmarks.controlplane.replicas import two_against_one
from benchmarks.controlplane.requests import SUBJECTS
from benchmarks.controlplane.servers import Server, control_plane, empty_method

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from support.postgres import Postgres, running_postgres

CLIENTS = (1, 8, 16, 64)
SECONDS = 0.6
CALLS = 2_000
EXECUTIONS = 1_000_000
QUICK = ((1, 16), 0.3, 20_000)


@dataclass(frozen=True, slots=True)
class Row:
    """What one round came to; times in ms."""

    rate: float
    p50: float
    p99: float
    cpu: float


def main() -> None:
    """Print a table per database; `--quick` measures less.

    `--sqlite`, `--postgres`, `--replicas` or a method's name measure only that.
    """
    clients, seconds, executions = QUICK if "--quick" in sys.argv else (CLIENTS, SECONDS, EXECUTIONS)
    with tempfile.TemporaryDirectory(prefix="flyteform-bench-") as name:
        folder = Path(name)
        with empty_method() as server:
            empty = _rounds(server, -1, clients, seconds, 1)
        _print("empty grpc.aio method", clients, empty, None, None)
        if not {"--postgres", "--replicas"}.intersection(sys.argv):
            _on_sqlite(folder, clients, seconds, executions, empty)
        if "--sqlite" not in sys.argv:
            # The PostgreSQL of the tests: this machine's or the wheel's, durable as it comes (fsync on).
            with running_postgres() as server:
                _on_postgres(folder, server, clients, seconds, executions, empty)


def _on_sqlite(folder: Path, clients: tuple[int, ...], seconds: float, executions: int, empty: dict[int, Row]) -> None:
    rates = dict.fromkeys(clients, sqlite_rates(folder))
    with control_plane(folder / "on-sqlite") as server:
        _database("SQLite", server, clients, seconds, empty, rates)
    file = folder / "on-sqlite" / "control.db"
    fill_sqlite(file, executions)
    with control_plane(folder / "on-sqlite"):
        wait_for_blocks(lambda asked: sqlite_number(file, asked), executions)
    deep_lists("SQLite", lambda: control_plane(folder / "on-sqlite"), executions)


def _on_postgres(
    folder: Path, postgres: Postgres, clients: tuple[int, ...], seconds: float, executions: int, empty: dict[int, Row]
) -> None:
    if "--replicas" in sys.argv:
        two_against_one(folder, _url(postgres))
        return
    url = _url(postgres)
    rates = {number: postgres_rates(url, number) for number in clients}
    with control_plane(folder / "on-postgres", url) as server:
        rows = _database("PostgreSQL", server, clients, seconds, empty, rates)
    report_goals({name: row.rate for name, row in rows.items()}, {name: row.cpu for name, row in rows.items()})
    fill_postgres(url, executions)
    with control_plane(folder / "on-postgres", url):
        wait_for_blocks(lambda asked: postgres_number(url, asked), executions)
    deep_lists("PostgreSQL", lambda: control_plane(folder / "on-postgres", url), executions)
    two_against_one(folder, _url(postgres))


def _url(postgres: Postgres) -> str:
    """Return the URL of a new database."""
    return postgres.create_database().replace("+asyncpg", "")


def _database(
    name: str,
    server: Server,
    clients: tuple[int, ...],
    seconds: float,
    empty: dict[int, Row],
    floors: dict[int, tuple[float, float]],
) -> dict[str, Row]:
    """Measure and print all that is wanted; return what came out where the goals are."""
    inserts = ", ".join(f"{number}: {floors[number][0]:.0f}" for number in clients)
    selects = ", ".join(f"{number}: {floors[number][1]:.0f}" for number in clients)
    print(f"\n{name}; bare INSERTs/s by clients {inserts}; bare SELECTs/s {selects}", flush=True)
    client = Client(server.address)
    compared = {}
    try:
        client.prepare()
        before = server.resident_mib()
        for number, subject in enumerate(SUBJECTS):
            if (wanted := _wanted()) and subject.name.split()[0] not in wanted:
                continue
            rows = _rounds(server, number, clients, seconds, subject.units, client)
            compared[subject.name] = rows[GOAL_CLIENTS]
            _print(subject.name, clients, rows, empty, {n: floors[n][0 if subject.writes else 1] for n in clients})
        print(f"resident memory: {before:.0f} MiB before the load, {server.resident_mib():.0f} MiB after", flush=True)
    finally:
        client.close()
    return compared


def _wanted() -> set[str]:
    return {word for word in sys.argv[1:] if not word.startswith("--") and word[0].isupper()}


def _rounds(
    server: Server, subject: int, clients: tuple[int, ...], seconds: float, units: int, client: Client | None = None
) -> dict[int, Row]:
    own = client or Client(server.address)
    rows = {}
    try:
        own.run(Round(subject, clients[0], 0.1, 10))
        for number in clients:
            cpu = server.cpu_seconds()
            calls = max(CALLS // units * (1 if subject >= 0 else 4), 4 * number)
            result = own.run(Round(subject, number, seconds, calls))
            cpu = server.cpu_seconds() - cpu
            done = len(result.latencies)
            ordered = sorted(result.latencies)
            rows[number] = Row(
                done * units / result.seconds,
                statistics.median(ordered) * 1000,
                ordered[int(done * 0.99)] * 1000,
                cpu * 1000 / (done * units),
            )
    finally:
        if client is None:
            own.close()
    return rows


def _print(
    name: str,
    clients: tuple[int, ...],
    rows: dict[int, Row],
    empty: dict[int, Row] | None,
    floor: dict[int, float] | None,
) -> None:
    for number in clients:
        row = rows[number]
        line = f"{name:26} {number:3} clients {row.rate:8.0f}/s"
        line += f"  p50 {row.p50:7.2f}  p99 {row.p99:7.2f}  cpu {row.cpu:6.3f}"
        if empty and floor:
            line += f"  = {row.cpu / empty[number].cpu:5.1f} x empty, {row.rate / floor[number]:5.2f} x bare"
        print(line, flush=True)


if __name__ == "__main__":
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    main()
