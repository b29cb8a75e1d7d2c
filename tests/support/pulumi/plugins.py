"""Providers of the engine: processes that speak the protocol, and a stand-in for a cloud."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from support.pulumi.wire import UNKNOWN, read, write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_LARGEST = 400 * 1024 * 1024
_OPTIONS = [("grpc.max_receive_message_length", _LARGEST), ("grpc.max_send_message_length", _LARGEST)]


class Plugin:
    """A provider's process, found on PATH by its name and asked for its port, as Pulumi's engine does."""

    def __init__(self, process: asyncio.subprocess.Process, channel: grpc.aio.Channel) -> None:
        self.process = process
        self._channel = channel
        self.stub: Any = provider_pb2_grpc.ResourceProviderStub(channel)

    @classmethod
    async def start(
        cls, package: str, engine: str, environment: Mapping[str, str], log: Path, command: Sequence[str] | None
    ) -> Plugin:
        """Start the executable of a package."""
        if command is None:
            found = shutil.which(f"pulumi-resource-{package}", path=environment["PATH"])
            assert found is not None, f"no pulumi-resource-{package} on PATH"
            command = [found]
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *command, engine, env=dict(environment), stdout=asyncio.subprocess.PIPE, stderr=errors
            )
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        assert line.strip().isdigit(), f"{command[0]} wrote {line!r}, see {log}"
        return cls(process, grpc.aio.insecure_channel(f"127.0.0.1:{int(line)}", options=_OPTIONS))

    async def stop(self) -> None:
        """Cancel what runs, then end the process."""
        await self._channel.close()
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


class _Clouds:
    """Stands for a cloud's provider: a `cloud:index:Value` has what it was given as `result` once it is created."""

    async def Check(self, request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:
        return provider_pb2.CheckResponse(inputs=request.news)

    async def Diff(self, request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
        same = read(request.old_inputs) == read(request.news)
        kind = provider_pb2.DiffResponse.DIFF_NONE if same else provider_pb2.DiffResponse.DIFF_SOME
        return provider_pb2.DiffResponse(changes=kind)

    async def Create(self, request: provider_pb2.CreateRequest) -> provider_pb2.CreateResponse:
        return provider_pb2.CreateResponse(
            id="" if request.preview else "cloud-1",
            properties=self._outputs(request.properties, preview=request.preview),
        )

    async def Update(self, request: provider_pb2.UpdateRequest) -> provider_pb2.UpdateResponse:
        return provider_pb2.UpdateResponse(properties=self._outputs(request.news, preview=request.preview))

    async def Read(self, request: provider_pb2.ReadRequest) -> provider_pb2.ReadResponse:
        return provider_pb2.ReadResponse(id=request.id, inputs=request.inputs, properties=request.properties)

    async def Delete(self, _: provider_pb2.DeleteRequest) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    async def Cancel(self, _: empty_pb2.Empty) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    def _outputs(self, given: Any, *, preview: bool) -> Any:
        values = read(given)
        return write({**values, "result": UNKNOWN if preview else values.get("value")})


class Cloud:
    """A plugin without a process."""

    def __init__(self) -> None:
        self.stub: Any = _Clouds()

    async def stop(self) -> None:
        """Nothing runs."""
