"""What the engine asks of every plugin before it asks for resources: what it understands, its version, its schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2

from flyteform.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteform.pulumi.provider.engine import EngineLog


class PluginCalls:
    """The calls that all our providers answer alike; `schema` makes the package's schema, as JSON, for a version."""

    def __init__(self, log: EngineLog, version: str, schema: Callable[[str], str]) -> None:
        self._log = log
        self._version = version
        self._schema = schema

    async def handshake(self, _: provider_pb2.ProviderHandshakeRequest) -> provider_pb2.ProviderHandshakeResponse:
        """Say what we understand."""
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    async def attach(self, request: plugin_pb2.PluginAttach) -> empty_pb2.Empty:
        """Send messages to this engine: it found us running, by PULUMI_DEBUG_PROVIDERS."""
        self._log.attach(request.address)
        return empty_pb2.Empty()

    async def get_plugin_info(self, _: empty_pb2.Empty) -> plugin_pb2.PluginInfo:
        """Return our version."""
        return plugin_pb2.PluginInfo(version=self._version)

    async def get_schema(self, request: provider_pb2.GetSchemaRequest) -> provider_pb2.GetSchemaResponse:
        """Return the package's schema."""
        if request.version not in (0, 1):
            raise InvalidInputError(f"there is no schema of version {request.version}", remedy="ask for version 0")
        return provider_pb2.GetSchemaResponse(schema=self._schema(self._version))
