"""Pulumi's ResourceProvider service over the provider: requests read, answers written.

It speaks the protocol itself: the SDK's experimental provider interface has no unknown values, no old inputs and no
partial failures, and answers errors with tracebacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2

from flyteform.errors import InvalidInputError
from flyteform.pulumi.kinds import TYPES
from flyteform.pulumi.provider.answers import diff_response, refusals
from flyteform.pulumi.provider.diffs import PropertyChange, is_done
from flyteform.pulumi.provider.paths import differences
from flyteform.pulumi.provider.plugin_calls import PluginCalls
from flyteform.pulumi.provider.provider import ADDRESS, Known, Provider, Target
from flyteform.pulumi.provider.schema import schema
from flyteform.pulumi.provider.values import decode, decode_some, encode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteform.pulumi.provider.engine import EngineLog


class Servicer(PluginCalls):
    """One method for each call that the engine makes; each takes a request and returns the answer."""

    def __init__(self, provider: Provider, log: EngineLog, version: str) -> None:
        super().__init__(log, version, schema)
        self._provider = provider

    async def check_config(self, request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:
        """Check the provider's configuration."""
        found = self._provider.check_config(decode(request.news).values)
        return provider_pb2.CheckResponse(inputs=request.news, failures=refusals(found))

    async def diff_config(self, request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
        """Compare configurations; another address may be the same platform, so it replaces nothing."""
        changed = differences(decode(request.old_inputs).values, decode(request.news).values)
        return diff_response(PropertyChange(path, difference, of_input=True) for path, difference in changed)

    async def configure(self, request: provider_pb2.ConfigureRequest) -> provider_pb2.ConfigureResponse:
        """Take the configuration."""
        given = decode(request.args).values or {
            name.rpartition(":")[2]: value for name, value in request.variables.items()
        }
        await self._provider.configure(given)
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    async def check(self, request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:
        """Check a resource's inputs and fill in defaults."""
        if request.olds.fields and request.olds == request.news:  # checked before; most resources of most runs are
            self._provider.declare(_target(request), decode_some(request.news, ADDRESS))
            return provider_pb2.CheckResponse(inputs=request.news)
        checked, found = self._provider.check(_target(request), decode(request.olds), decode(request.news))
        return provider_pb2.CheckResponse(inputs=encode(checked.values, checked.secrets), failures=refusals(found))

    async def diff(self, request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
        """Compare a resource's inputs with its state."""
        target = _target(request, request.ignoreChanges)
        outputs = decode(request.olds)
        if request.old_inputs == request.news and is_done(target.described, outputs.values):
            return diff_response()
        old = Known(decode(request.old_inputs), outputs)
        return diff_response(self._provider.diff(target, old, decode(request.news)))

    async def create(self, request: provider_pb2.CreateRequest) -> provider_pb2.CreateResponse:
        """Create a resource."""
        given = decode(request.properties)
        identifier, outputs = await self._provider.create(_target(request), given, preview=request.preview)
        return provider_pb2.CreateResponse(id=identifier, properties=encode(outputs.values, outputs.secrets))

    async def read(self, request: provider_pb2.ReadRequest) -> provider_pb2.ReadResponse:
        """Read a resource for a refresh or an import."""
        old = Known(decode(request.inputs), decode(request.properties))
        found = await self._provider.read(_target(request), request.id, old)
        return provider_pb2.ReadResponse(
            id=found.id,
            inputs=encode(found.inputs.values, found.inputs.secrets),
            properties=encode(found.outputs.values, found.outputs.secrets),
        )

    async def update(self, request: provider_pb2.UpdateRequest) -> provider_pb2.UpdateResponse:
        """Update a resource."""
        target = _target(request, request.ignoreChanges)
        old = Known(decode(request.old_inputs), decode(request.olds))
        outputs = await self._provider.update(target, old, decode(request.news), preview=request.preview)
        return provider_pb2.UpdateResponse(properties=encode(outputs.values, outputs.secrets))

    async def delete(self, request: provider_pb2.DeleteRequest) -> empty_pb2.Empty:
        """Take a resource out of use."""
        await self._provider.delete(_target(request), request.id)
        return empty_pb2.Empty()


def _target(
    request: provider_pb2.CheckRequest
    | provider_pb2.DiffRequest
    | provider_pb2.CreateRequest
    | provider_pb2.ReadRequest
    | provider_pb2.UpdateRequest
    | provider_pb2.DeleteRequest,
    ignored: Iterable[str] = (),
) -> Target:
    token = request.type or request.urn.split("::")[2].rpartition("$")[2]
    if token not in TYPES:
        raise InvalidInputError(f"there is no type {token}", remedy=f"there are {', '.join(TYPES)}")
    return Target(TYPES[token], request.urn, tuple(ignored))
