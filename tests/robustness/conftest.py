"""A control plane in a thread of its own, so that a test asks it as any client does."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import pytest
from sqlalchemy import func, select

from flyteform_controlplane.server import Addresses, ControlPlane
from flyteform_controlplane.settings import ControlPlaneSettings
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.tables import metadata
from support.postgres import running_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Server:
    """Where it serves, a channel to it, and its database, which is asked in the server's own loop."""

    addresses: Addresses
    channel: grpc.Channel
    database: Database
    loop: asyncio.AbstractEventLoop

    def rows(self) -> dict[str, int]:
        """Count the rows of every table."""
        return asyncio.run_coroutine_threadsafe(self._rows(), self.loop).result(30)

    async def _rows(self) -> dict[str, int]:
        names = sorted(metadata.tables)
        counts = (select(func.count()).select_from(metadata.tables[name]).scalar_subquery() for name in names)
        async with self.database.reading() as tx:
            return dict(zip(names, (await tx.execute(select(*counts))).one(), strict=True))


@contextmanager
def serving(state_dir: Path, database_url: str = "") -> Iterator[Server]:
    """Run a control plane for the length of the block; on SQLite unless it is told another database."""
    settings = ControlPlaneSettings(state_dir, grpc_port=0, http_port=0, database_url=database_url)
    control_plane, database = ControlPlane(settings), Database(settings.database_url)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        addresses = asyncio.run_coroutine_threadsafe(control_plane.start(), loop).result(30)
        options = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
        with grpc.insecure_channel(addresses.grpc, options) as channel:
            yield Server(addresses, channel, database, loop)
    finally:
        for end in (database.close(), control_plane.stop()):
            asyncio.run_coroutine_threadsafe(end, loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give the tests of a module one control plane on each kind of database."""
    state_dir = tmp_path_factory.mktemp("platform")
    with ExitStack() as running:
        url = running.enter_context(running_postgres()).create_database() if request.param == "postgresql" else ""
        yield running.enter_context(serving(state_dir, url))
