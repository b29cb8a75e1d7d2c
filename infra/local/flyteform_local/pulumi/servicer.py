"""Pulumi's ResourceProvider service over the platforms of this machine: requests read, answers written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2

from flyteform.errors import InvalidInputError
from flyteform.pulumi.provider.answers import diff_response, refusals
from flyteform.pulumi.provider.plugin_calls import PluginCalls
from flyteform.pulumi.provider.schema import properties_schema
from flyteform.pulumi.provider.values import Properties, decode, encode
from flyteform_local.pulumi.checks import check_inputs
from flyteform_local.pulumi.kinds import INPUTS, OUTPUTS, PACKAGE, TOKEN
from flyteform_local.pulumi.platforms import Known, Platforms

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct

    from flyteform.pulumi.provider.engine import EngineLog


class Servicer(PluginCalls):
    """One method for each call that the engine makes; each takes a request and returns the answer."""

    def __init__(self, platforms: Platforms, log: EngineLog, version: str) -> None:
        super().__init__(log, version, schema)
        self._platforms = platforms

    async def check_config(self, request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:
        """Take any configuration: there is none."""
        return provider_pb2.CheckResponse(inputs=request.news)

    async def diff_config(self, _: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
        """Say that configurations do not differ."""
        return diff_response()

    async def configure(self, _: provider_pb2.ConfigureRequest) -> provider_pb2.ConfigureResponse:
        """Say what we can."""
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    async def check(self, request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:
        """Check the inputs and fill in defaults."""
        _require_type(request.type, request.urn)
        given = decode(request.news)
        inputs, failures = check_inputs(given.values)
        return provider_pb2.CheckResponse(inputs=encode(inputs, given.secrets), failures=refusals(failures))

    async def diff(self, request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
        """Compare inputs with the state, and the state with what runs."""
        old = Known(decode(request.old_inputs), decode(request.olds))
        # Another directory means the same ports: what holds them ends first.
        return diff_response(self._platforms.diff(old, decode(request.news)), delete_first=True)

    async def create(self, request: provider_pb2.CreateRequest) -> provider_pb2.CreateResponse:
        """Start a platform."""
        given = decode(request.properties)
        identifier, outputs = await self._platforms.create(request.urn, given, preview=request.preview)
        return provider_pb2.CreateResponse(id=identifier, properties=_encoded(outputs))

    async def read(self, request: provider_pb2.ReadRequest) -> provider_pb2.ReadResponse:
        """Look at a platform for a refresh or an import."""
        old = Known(decode(request.inputs), decode(request.properties))
        found = await self._platforms.read(request.id, old)
        return provider_pb2.ReadResponse(id=found.id, inputs=_encoded(found.inputs), properties=_encoded(found.outputs))

    async def update(self, request: provider_pb2.UpdateRequest) -> provider_pb2.UpdateResponse:
        """Change a platform."""
        old = Known(decode(request.old_inputs), decode(request.olds))
        outputs = await self._platforms.update(request.urn, old, decode(request.news), preview=request.preview)
        return provider_pb2.UpdateResponse(properties=_encoded(outputs))

    async def delete(self, request: provider_pb2.DeleteRequest) -> empty_pb2.Empty:
        """Stop a platform."""
        old = Known(decode(request.old_inputs), decode(request.properties))
        await self._platforms.delete(request.urn, request.id, old)
        return empty_pb2.Empty()


def schema(version: str) -> str:
    """Return the package's schema as JSON."""
    document = {
        "name": PACKAGE,
        "version": version,
        "displayName": "flyteform embedded",
        "description": "The embedded platform of flyteform on this machine.",
        "license": "Apache-2.0",
        "language": {"python": {"packageName": "flyteform_local.pulumi", "respectSchemaVersion": True}},
        "resources": {
            TOKEN: {
                "description": "A platform on this machine: a process that serves on loopback addresses.",
                "inputProperties": properties_schema(INPUTS),
                "requiredInputs": [each.name for each in INPUTS if each.required],
                "properties": properties_schema((*INPUTS, *OUTPUTS)),
                "required": [each.name for each in (*INPUTS, *OUTPUTS)],
            }
        },
    }
    return json.dumps(document, sort_keys=True)


def _encoded(properties: Properties) -> Struct:
    return encode(properties.values, properties.secrets)


def _require_type(token: str, urn: str) -> None:
    token = token or urn.split("::")[2].rpartition("$")[2]
    if token != TOKEN:
        raise InvalidInputError(f"there is no type {token}", remedy=f"there is {TOKEN}")
