"""The methods of the services, ready to be called by any transport: resolved once, at the start."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf.message_factory import GetMessageClass

from flyteform_controlplane.errors import UnimplementedError
from flyteform_controlplane.transport.calls import Call, Handler, Interceptor, compose

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
    from google.protobuf.message import Message


@dataclass(frozen=True, slots=True)
class Service:
    """A service and the object whose asynchronous methods implement it; those that it lacks are UNIMPLEMENTED."""

    descriptor: ServiceDescriptor
    servicer: object


@dataclass(frozen=True, slots=True)
class Method:
    """One method: its types, and for a unary one the whole chain from the interceptors to the service."""

    name: str
    descriptor: MethodDescriptor
    request_type: type[Message]
    response_type: type[Message]
    implementation: Callable[[Any, Any], Any]
    interceptors: tuple[Interceptor, ...]
    invoke: Handler

    @property
    def streams(self) -> bool:
        """Whether either side sends a stream."""
        return self.descriptor.client_streaming or self.descriptor.server_streaming


def methods_of(services: Sequence[Service], interceptors: Sequence[Interceptor]) -> tuple[Method, ...]:
    """Resolve all methods of the services, with the interceptors around each."""
    return tuple(
        _method(service, descriptor, tuple(interceptors))
        for service in services
        for descriptor in service.descriptor.methods
    )


def _method(service: Service, descriptor: MethodDescriptor, interceptors: tuple[Interceptor, ...]) -> Method:
    implementation: Any = getattr(service.servicer, descriptor.name, None)
    # The generated base classes have plain functions for what is not implemented.
    if not (inspect.iscoroutinefunction(implementation) or inspect.isasyncgenfunction(implementation)):
        implementation = _unimplemented(descriptor.full_name)

    async def endpoint(call: Call) -> Any:
        return await implementation(call.request, call)

    return Method(
        name=f"/{service.descriptor.full_name}/{descriptor.name}",
        descriptor=descriptor,
        request_type=GetMessageClass(descriptor.input_type),
        response_type=GetMessageClass(descriptor.output_type),
        implementation=implementation,
        interceptors=interceptors,
        invoke=compose(interceptors, endpoint),
    )


def _unimplemented(name: str) -> Callable[[Any, Any], Any]:
    async def refuse(_request: Any, _context: Any) -> Any:
        raise UnimplementedError(f"{name} is not implemented by this server")

    return refuse
