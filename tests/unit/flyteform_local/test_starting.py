"""How a platform that runs is asked whether it is well."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from flyteform_local.starting import answers, settled
from flyteform_local.state import Addresses

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def serving(answer: bytes) -> AsyncIterator[Addresses]:
    """Serve one and the same answer on a port of this machine."""

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(reply, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield Addresses("127.0.0.1:1", f"http://127.0.0.1:{port}", 1)


@pytest.mark.parametrize(
    ("answer", "well"),
    [(b"HTTP/1.1 200 OK\r\n\r\n", True), (b"HTTP/1.1 503 \r\n\r\n", False), (b"SSH-2.0\r\n", False), (b"", False)],
)
async def test_answers(answer: bytes, *, well: bool) -> None:
    """Only a platform that says that all its parts are ready is well, and no other server on its port."""
    async with serving(answer) as addresses:
        assert await answers(addresses) is well


async def test_nobody_answers() -> None:
    """Where nobody listens there is no platform."""
    async with serving(b"") as addresses:
        pass
    assert not await answers(addresses)


async def test_settled_without_a_data_plane(tmp_path: Path) -> None:
    """A directory in which no data plane has ever been is settled at once."""
    await asyncio.wait_for(settled(tmp_path), 10)
