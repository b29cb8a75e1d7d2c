"""The provider as a process: what it serves, whom it listens to, and when it ends."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from google.protobuf import empty_pb2
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc

from flyteform.pulumi.provider.engine import EngineLog
from flyteform.pulumi.provider.provider import Provider
from flyteform.pulumi.provider.servicer import Servicer
from flyteform.pulumi.provider.serving import make_server
from support.pulumi.proxies import proxied

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

URN = "urn:pulumi:test::program::flyteform:index:Project::it"


class Listening(engine_pb2_grpc.EngineServicer):
    """An engine that only listens."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def Log(self, request: engine_pb2.LogRequest, _: object) -> empty_pb2.Empty:  # noqa: N802, D102 - an RPC
        self.heard.append(request.message)
        return empty_pb2.Empty()

    async def GetRootResource(self, _: object, __: object) -> engine_pb2.GetRootResourceResponse:  # noqa: N802, D102
        return engine_pb2.GetRootResourceResponse()


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[Listening, str, grpc.aio.Server]]:
    """Serve an engine that only listens; yield what it hears and its address."""
    engine, server = Listening(), grpc.aio.server()
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield engine, address, server
    finally:
        await server.stop(None)


@asynccontextmanager
async def serving() -> AsyncIterator[Any]:
    """Serve a provider that no engine has started; yield a client of it."""
    log = EngineLog()
    provider = Provider(log)
    server = make_server(Servicer(provider, log, "1.2.3"))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield provider_pb2_grpc.ResourceProviderStub(channel)
    finally:
        await server.stop(None)
        await provider.close()
        await log.close()


def struct(values: dict[str, Any]) -> Struct:
    """Return values as the protocol carries them."""
    return ParseDict(values, Struct())


async def test_what_is_not_there_is_unimplemented() -> None:
    """Calls that the provider has not are answered so, and the others say who it is."""
    async with serving() as client:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await client.Invoke(provider_pb2.InvokeRequest(tok="x"))
        assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert (await client.GetPluginInfo(empty_pb2.Empty())).version == "1.2.3"
        assert (await client.Handshake(provider_pb2.ProviderHandshakeRequest())).accept_secrets
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await client.Check(provider_pb2.CheckRequest(urn=URN.replace("Project", "Projekt")))
        assert "there is no type flyteform:index:Projekt" in (failed.value.details() or "")
        assert "Traceback" not in (failed.value.details() or "")


async def test_a_provider_that_runs_already_is_attached() -> None:
    """An engine that finds the provider running gets its messages."""
    async with listening() as (engine, address, _), serving() as client:
        await client.Attach(plugin_pb2.PluginAttach(address=address))
        await client.Configure(provider_pb2.ConfigureRequest(args=struct({"endpoint": "127.0.0.1:1"})))
        request = provider_pb2.CreateRequest(urn=URN, properties=struct({"project": "p"}), preview=True)
        made = await client.Create(request)
        assert made.id == "p"
        assert ["not held against the platform" in text for text in engine.heard] == [True]


async def test_an_operation_that_takes_too_long_ends() -> None:
    """The time that a program gives an operation is kept."""
    async with proxied("127.0.0.1:1") as proxy, serving() as client:
        proxy.held = {"GetProject"}
        await client.Configure(provider_pb2.ConfigureRequest(args=struct({"endpoint": proxy.endpoint})))
        request = provider_pb2.CreateRequest(urn=URN, properties=struct({"project": "p"}), timeout=0.2)
        with pytest.raises(grpc.aio.AioRpcError, match=r"not done within 0\.2 seconds"):
            await client.Create(request)


async def test_a_provider_ends_after_its_engine() -> None:
    """When the engine is gone without a word, the provider notices."""
    async with listening() as (_, address, server):
        engine = EngineLog(address)
        waiting = asyncio.create_task(engine.wait_until_gone(0.05))
        await engine.info("hello", "")
        done, _ = await asyncio.wait([waiting], timeout=0.5)
        assert not done
        await server.stop(None)
        await asyncio.wait_for(waiting, 60)
        await engine.close()
