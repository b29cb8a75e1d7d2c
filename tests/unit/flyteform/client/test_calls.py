"""Calls against real servers: what is retried, how failures read."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest
from flyteidl.admin import project_pb2

from flyteform.client.admin import connect
from flyteform.client.config import ClientConfig
from flyteform.client.errors import AccessDeniedError, ServerError, UnsupportedError
from flyteform.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flyteform.errors import FlyteformError


class ScriptedProjects(grpc.GenericRpcHandler):
    """A gRPC server's GetProject that answers one status after the other, then the project."""

    def __init__(self, *statuses: grpc.StatusCode) -> None:
        self.statuses = list(statuses)
        self.calls = 0

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        """Handle this method alone."""
        if not details.method.endswith("/GetProject"):
            return None
        return grpc.unary_unary_rpc_method_handler(
            self.answer,
            request_deserializer=project_pb2.ProjectGetRequest.FromString,
            response_serializer=project_pb2.Project.SerializeToString,
        )

    async def answer(
        self, request: project_pb2.ProjectGetRequest, context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> project_pb2.Project:
        """Answer the next status."""
        self.calls += 1
        if self.statuses:
            await context.abort(self.statuses.pop(0), "scripted")
        return project_pb2.Project(id=request.id)


@asynccontextmanager
async def serving(handler: ScriptedProjects) -> AsyncIterator[str]:
    """Serve the handler on a free port for the length of the block."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def test_unavailable_is_retried() -> None:
    """A server that is unavailable for a moment is asked again, and the caller does not notice."""
    handler = ScriptedProjects(grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE)
    async with serving(handler) as endpoint, connect(ClientConfig(endpoint, insecure=True)) as client:
        assert (await client.get_project("p")).id == "p"
    assert handler.calls == 3


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (grpc.StatusCode.NOT_FOUND, NotFoundError),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidInputError),
        (grpc.StatusCode.FAILED_PRECONDITION, ConflictError),
        (grpc.StatusCode.UNAUTHENTICATED, AccessDeniedError),
        (grpc.StatusCode.PERMISSION_DENIED, AccessDeniedError),
        (grpc.StatusCode.INTERNAL, ServerError),
        (grpc.StatusCode.UNKNOWN, ServerError),
    ],
)
async def test_other_failures_are_mapped_and_not_retried(
    status: grpc.StatusCode, expected: type[FlyteformError]
) -> None:
    """Each status becomes its error at once, with what the server said."""
    handler = ScriptedProjects(status)
    async with serving(handler) as endpoint, connect(ClientConfig(endpoint, insecure=True)) as client:
        with pytest.raises(expected, match="scripted"):
            await client.get_project("p")
    assert handler.calls == 1


async def test_what_is_no_flyteadmin_says_so() -> None:
    """A gRPC server without the call gives an error that names the endpoint and the method."""
    async with serving(ScriptedProjects()) as endpoint, connect(ClientConfig(endpoint, insecure=True)) as client:
        with pytest.raises(UnsupportedError, match=f"{endpoint} has no call GetWorkflow"):
            await client.get_workflow(_no_id())


async def test_an_unreachable_endpoint_fails_soon_and_is_named() -> None:
    """Where nothing listens the error comes within seconds and says where and what to do."""
    started = time.monotonic()
    async with connect(ClientConfig("127.0.0.1:1", insecure=True)) as client:
        with pytest.raises(UnavailableError, match=r"cannot reach 127\.0\.0\.1:1: is it running") as refused:
            await client.get_project("p")
    assert "flyteform dev" in str(refused.value.remedy)
    assert time.monotonic() - started < 10


async def test_the_login_metadata_goes_with_every_call() -> None:
    """What an authenticator gives is sent as metadata."""
    seen: list[str] = []

    class Recording(ScriptedProjects):
        async def answer(
            self, request: project_pb2.ProjectGetRequest, context: grpc.aio.ServicerContext[bytes, bytes]
        ) -> project_pb2.Project:
            seen.extend(str(value) for key, value in context.invocation_metadata() or () if key == "authorization")
            return await super().answer(request, context)

    class Token:
        async def metadata(self) -> tuple[tuple[str, str], ...]:
            return (("authorization", "Bearer t"),)

        async def refused(self, _sent: tuple[tuple[str, str], ...]) -> bool:
            return False

    async with (
        serving(Recording()) as endpoint,
        connect(ClientConfig(endpoint, insecure=True), Token()) as client,
    ):
        await client.get_project("p")
    assert seen == ["Bearer t"]


def _no_id() -> object:
    from flyteidl.core.identifier_pb2 import Identifier

    return Identifier(name="w")
