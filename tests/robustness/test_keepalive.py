"""Clients that keep an idle connection alive by pings, as flytekit does, on the wire itself."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING

import grpc.aio

from flyteform_controlplane.transport.grpc_server import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, PING, GOAWAY, ACK = 4, 6, 7, 1
PINGS = 50
HEADER = struct.Struct(">BHBBI")  # RFC 9113, section 4.1: length in 24 bits, type, flags, stream


def frame(kind: int, payload: bytes = b"") -> bytes:
    """Return a frame of the whole connection."""
    return HEADER.pack(0, len(payload), kind, 0, 0) + payload


async def pings_answered(address: str) -> int:
    """Ping without ever making a call; return how many pings were answered before a GOAWAY, if one came."""
    reader, writer = await asyncio.open_connection(*address.split(":"))
    writer.write(PREFACE + frame(SETTINGS))
    answered = 0
    try:
        for number in range(PINGS):
            writer.write(frame(PING, struct.pack(">Q", number)))
            while True:
                high, low, kind, flags, _ = HEADER.unpack(await reader.readexactly(HEADER.size))
                await reader.readexactly((high << 16) + low)
                if kind == GOAWAY:
                    return answered
                if (kind, flags) == (PING, ACK):
                    break
            answered += 1
    except (asyncio.IncompleteReadError, ConnectionError):
        return answered
    finally:
        writer.close()
    return answered


async def served(options: Sequence[tuple[str, int]]) -> int:
    """Ping a server with these options."""
    server = grpc.aio.server(options=options)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        return await asyncio.wait_for(pings_answered(f"127.0.0.1:{port}"), 20)
    finally:
        await server.stop(0)


async def test_pings_without_calls_are_answered() -> None:
    """However often a client pings an idle connection, each ping is answered and none ends the connection."""
    assert await served(OPTIONS) == PINGS


async def test_a_server_with_usual_options_ends_the_connection() -> None:
    """The same pings get GOAWAY from a server as gRPC sets it up by itself, so the options are what helps."""
    assert await served([("grpc.so_reuseport", 0)]) < PINGS
