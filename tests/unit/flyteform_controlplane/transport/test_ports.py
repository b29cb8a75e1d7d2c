"""Ports before anything is started on them."""

from __future__ import annotations

import asyncio
import socket

from flyteform_controlplane.transport.ports import listen


async def test_answers_are_not_held_back() -> None:
    """Connections to a listener send at once what they are given: it would take 40 ms per answer otherwise."""
    delays = asyncio.get_running_loop().create_future()

    def connected(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        delays.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listener = listen("127.0.0.1", 0, flag="--http-port")
    server = await asyncio.start_server(connected, sock=listener)
    async with server:
        _, writer = await asyncio.open_connection(*listener.getsockname())
        assert await asyncio.wait_for(delays, 10)
        writer.close()
        await writer.wait_closed()
