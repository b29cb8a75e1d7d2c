"""A provider that does nothing: what the protocol, the engine and a program cost by themselves."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc
import grpc.aio
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc


class Nothing(provider_pb2_grpc.ResourceProviderServicer):
    """Takes everything as it comes; what was given are the outputs, with a version."""

    async def CheckConfig(self, request: Any, _: object) -> provider_pb2.CheckResponse:
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(self, _: object, __: object) -> provider_pb2.DiffResponse:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    async def Configure(self, _: object, __: object) -> provider_pb2.ConfigureResponse:
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    async def Check(self, request: Any, _: object) -> provider_pb2.CheckResponse:
        return provider_pb2.CheckResponse(inputs=request.news)

    async def Diff(self, _: object, __: object) -> provider_pb2.DiffResponse:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    async def Create(self, request: Any, _: object) -> provider_pb2.CreateResponse:
        made = provider_pb2.CreateResponse(id=request.name or "it")
        for name in ("project", "domain", "name"):
            if name in request.properties.fields:
                made.properties.fields[name].CopyFrom(request.properties.fields[name])
        made.properties.fields["version"].string_value = "v"
        return made

    async def Read(self, request: Any, _: object) -> provider_pb2.ReadResponse:
        return provider_pb2.ReadResponse(id=request.id, inputs=request.inputs, properties=request.properties)

    async def Delete(self, _: object, __: object) -> empty_pb2.Empty:
        return empty_pb2.Empty()


async def serve() -> None:
    """Serve until killed; the first line that is written is the port."""
    server = grpc.aio.server()
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Nothing(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve())
