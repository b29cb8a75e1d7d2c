"""A TCP proxy whose connections a test can cut, all at once and in the middle of whatever they carry, or stall."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Cutter:
    """Passes bytes on to a port of loopback until it cuts."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._open: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._ending = asyncio.Event()
        self._ending.set()
        self._ended = asyncio.Event()
        self.port = 0
        self.connections = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Cutter]:
        """Listen on a free port."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.flow()
            self.cut()
            await server.wait_closed()

    def cut(self) -> None:
        """Reset all connections."""
        for writer in list(self._open):
            writer.transport.abort()

    def stall(self) -> None:
        """Pass nothing on any more, without a word: the connections stay open, and new ones open as well."""
        self._flowing.clear()

    def flow(self) -> None:
        """Pass on what was held back, and all that comes."""
        self._flowing.set()
        self._ending.set()

    def hold_ends(self) -> None:
        """Pass on all but the end of a connection: who is behind it goes away, but it stays open."""
        self._ending.clear()

    async def ended(self) -> None:
        """Wait until a connection has been ended by either side, and what was said before has been passed on."""
        await self._ended.wait()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, other_writer}
        self._open |= both
        try:
            await asyncio.gather(self._pass_on(reader, other_writer), self._pass_on(other_reader, writer))
        finally:
            self._open -= both
            for each in both:
                each.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        self._ended.set()
        await self._ending.wait()
        writer.transport.abort()
