"""The token that a data plane shows on every call and on its link."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc.aio

from flyteform_dataplane.channel import open_channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest


class Recorder(grpc.GenericRpcHandler):
    """Answers any method with what it was sent as authorization."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        """Serve it as a stream or as one call, by its name."""
        metadata: Any = handler_call_details.invocation_metadata
        shown = " ".join(value for key, value in metadata if key == "authorization").encode()

        async def one(_request: bytes, _context: object) -> bytes:
            return shown

        async def stream(_requests: object, _context: object) -> AsyncIterator[bytes]:
            yield shown

        if handler_call_details.method.endswith("Stream"):
            return grpc.stream_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(one)


@asynccontextmanager
async def channel_to_a_recorder(token_file: Path | None) -> AsyncIterator[grpc.aio.Channel]:
    """Open a data plane's channel to a server that records."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Recorder(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with open_channel(f"127.0.0.1:{port}", token_file) as channel:
            yield channel
    finally:
        await server.stop(0)


async def shown(channel: grpc.aio.Channel) -> list[bytes]:
    """Return what a call and a stream show."""
    stream = channel.stream_stream("/x.Y/Stream")(iter([b"x"]))
    return [await channel.unary_unary("/x.Y/One")(b"x"), *[answer async for answer in stream]]


async def test_the_newest_token_is_shown(tmp_path: Path) -> None:
    """A token that was replaced in its file is never shown again, neither by a call nor by the link."""
    path = tmp_path / "token"
    path.write_text("first\n")
    async with channel_to_a_recorder(path) as channel:
        assert await shown(channel) == [b"Bearer first"] * 2
        path.write_text("second")
        assert await shown(channel) == [b"Bearer second"] * 2


async def test_a_missing_token_is_told_once_and_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Calls go out without it, to be refused and sent again; it is shown as soon as it is there."""
    caplog.set_level(logging.WARNING)
    path = tmp_path / "token"
    async with channel_to_a_recorder(path) as channel:
        assert await shown(channel) == [b""] * 2
        assert caplog.text.count("token of this data plane cannot be read") == 1
        path.write_text("late")
        assert await shown(channel) == [b"Bearer late"] * 2


async def test_without_a_file_nothing_is_shown() -> None:
    """A control plane without login is not told anything."""
    async with channel_to_a_recorder(None) as channel:
        assert await shown(channel) == [b""] * 2
