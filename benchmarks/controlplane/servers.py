"""What is measured: a control plane in a process of its own, PostgreSQL beside it, and the floors."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = resource.getpagesize()
START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Server:
    """A gRPC server's address and its process."""

    address: str
    pid: int

    def cpu_seconds(self) -> float:
        """Return the processor time that the process has used, with what the kernel did for it."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_mib(self) -> float:
        """Return the memory that the process has now."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * PAGE_BYTES / 2**20


@contextmanager
def control_plane(folder: Path, database_url: str = "") -> Iterator[Server]:
    """Run one with its data below `folder`; SQLite there unless a URL is given."""
    command = [sys.executable, "-m", "flyteform_controlplane", "--state-dir", str(folder), "--log-level", "WARNING"]
    command += ["--grpc-port", "0", "--http-port", "0"]
    if database_url:
        command += ["--database-url", database_url]
    with _process(command) as process:
        line = _first_line(process)
        yield Server(line.partition("grpc=")[2].split()[0], process.pid)


@contextmanager
def empty_method() -> Iterator[Server]:
    """Run a grpc.aio server that answers nothing at once: the least that any method costs."""
    with _process([sys.executable, "-m", "benchmarks.controlplane.floor"]) as process:
        yield Server(_first_line(process).strip(), process.pid)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Run PostgreSQL as it comes (fsync on) and give the URL of an empty database, without its scheme."""
    data, port = folder / "postgres", _free_port()
    data.mkdir()
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        # It refuses to run as root.
        for path in (folder, *folder.parents):
            if path.stat().st_uid == 0 and path.is_relative_to("/tmp") and path != Path("/tmp"):  # noqa: S108 - whose directory it is, not where to write
                path.chmod(0o755)
        shutil.chown(data, user)
    common = {"user": user, "stdout": subprocess.DEVNULL, "cwd": str(data)}
    subprocess.run(["initdb", "-D", str(data), "-U", "bench", "--auth=trust", "-E", "UTF8"], check=True, **common)  # type: ignore[call-overload]
    command = ["postgres", "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(data)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, **common)  # type: ignore[call-overload]
    try:
        _wait_for_postgres(port)
        yield f"bench@127.0.0.1:{port}/postgres"
    finally:
        process.terminate()
        process.wait(20)


def another_database(address: str, name: str) -> str:
    """Return the address of a new, empty database on the same server."""
    import asyncpg

    async def create() -> None:
        connection = await asyncpg.connect(f"postgresql://{address}")
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()

    asyncio.run(create())
    return f"{address.rpartition('/')[0]}/{name}"


def _wait_for_postgres(port: int) -> None:
    import asyncpg

    async def once() -> None:
        await (await asyncpg.connect(host="127.0.0.1", port=port, user="bench", database="postgres")).close()

    until = time.monotonic() + START_SECONDS
    while True:
        try:
            asyncio.run(once())
        except (OSError, asyncpg.PostgresError):
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


@contextmanager
def _process(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def _first_line(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise RuntimeError(f"the server ended with {process.wait()} before it served")
    return line


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
