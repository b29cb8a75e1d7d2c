"""A control plane in a thread of its own, so that a test asks it as any client does."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import pytest

from flyteform_controlplane.server import Addresses, ControlPlane
from flyteform_controlplane.settings import ControlPlaneSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Server:
    """Where it serves, a channel to it, and its database's file."""

    addresses: Addresses
    channel: grpc.Channel
    database: Path

    def rows(self) -> dict[str, int]:
        """Count the rows of every table."""
        with closing(sqlite3.connect(self.database, timeout=10)) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            counts = ", ".join(f'(SELECT count(*) FROM "{name}")' for name in names)  # noqa: S608 - the database's own names
            return dict(zip(names, connection.execute(f"SELECT {counts}").fetchone(), strict=True))


@contextmanager
def serving(state_dir: Path, database_url: str = "") -> Iterator[Server]:
    """Run a control plane for the length of the block; on SQLite unless it is told another database."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    control_plane = ControlPlane(ControlPlaneSettings(state_dir, grpc_port=0, http_port=0, database_url=database_url))
    try:
        addresses = asyncio.run_coroutine_threadsafe(control_plane.start(), loop).result(30)
        options = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
        with grpc.insecure_channel(addresses.grpc, options) as channel:
            yield Server(addresses, channel, state_dir / "control.db")
    finally:
        asyncio.run_coroutine_threadsafe(control_plane.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give one control plane to the tests of a module."""
    with serving(tmp_path_factory.mktemp("platform")) as running:
        yield running
