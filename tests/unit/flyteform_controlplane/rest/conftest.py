"""A real HTTP server with a few services, and a client that sends paths exactly as given."""

from __future__ import annotations

import asyncio
import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from flyteidl.admin.common_pb2 import NamedEntity, NamedEntityGetRequest, RawOutputDataConfig
from flyteidl.admin.execution_pb2 import (
    Execution,
    ExecutionCreateRequest,
    ExecutionCreateResponse,
    ExecutionList,
    ExecutionTerminateRequest,
    ExecutionTerminateResponse,
    WorkflowExecutionGetRequest,
)
from flyteidl.admin.node_execution_pb2 import NodeExecutionForTaskListRequest, NodeExecutionList
from flyteidl.service import admin_pb2, identity_pb2
from flyteidl.service.admin_pb2_grpc import AdminServiceServicer
from flyteidl.service.identity_pb2 import UserInfoRequest, UserInfoResponse

from flyteform.objects.local import LocalStore
from flyteform.objects.signing import UrlSigner
from flyteform_controlplane.errors import EntityExistsError
from flyteform_controlplane.readiness import Readiness
from flyteform_controlplane.rest.app import http_app
from flyteform_controlplane.rest.objects import ObjectEndpoint
from flyteform_controlplane.transport import ports
from flyteform_controlplane.transport.http_server import HttpServer
from flyteform_controlplane.transport.interceptors import STANDARD
from flyteform_controlplane.transport.methods import Service, methods_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from google.protobuf.message import Message

    from flyteform_controlplane.transport.calls import Call

MAX_OBJECT_BYTES = 3_000_000


class Admin(AdminServiceServicer):
    """Remembers what it was asked, and answers it back."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.calls: list[Call] = []

    def _seen(self, request: Message, call: Call) -> None:
        self.requests.append(request)
        self.calls.append(call)

    async def GetExecution(self, request: WorkflowExecutionGetRequest, context: Call) -> Execution:  # noqa: N802 - Flyte's name
        """Fail for two names, answer all others."""
        self._seen(request, context)
        if request.id.name == "uncaught":
            raise KeyError("secret")
        if request.id.name == "exists":
            raise EntityExistsError("it exists", details=(RawOutputDataConfig(output_location_prefix="d"),))
        return Execution(id=request.id)

    async def ListExecutions(self, request: Any, context: Call) -> ExecutionList:  # noqa: N802 - Flyte's name
        """Remember the query."""
        self._seen(request, context)
        return ExecutionList(token="next")  # noqa: S106 - a page token

    async def CreateExecution(self, request: ExecutionCreateRequest, context: Call) -> ExecutionCreateResponse:  # noqa: N802 - Flyte's name
        """Remember the body."""
        self._seen(request, context)
        return ExecutionCreateResponse(id={"name": request.name})

    async def TerminateExecution(  # noqa: N802 - Flyte's name
        self, request: ExecutionTerminateRequest, context: Call
    ) -> ExecutionTerminateResponse:
        """Remember the cause."""
        self._seen(request, context)
        return ExecutionTerminateResponse()

    async def GetNamedEntity(self, request: NamedEntityGetRequest, context: Call) -> NamedEntity:  # noqa: N802 - Flyte's name
        """Say what was asked."""
        self._seen(request, context)
        return NamedEntity(resource_type=request.resource_type, id=request.id)

    async def ListNodeExecutionsForTask(  # noqa: N802 - Flyte's name
        self, request: NodeExecutionForTaskListRequest, context: Call
    ) -> NodeExecutionList:
        """Remember the long path."""
        self._seen(request, context)
        return NodeExecutionList()


class Identity:
    """Serves `/me`."""

    async def UserInfo(self, _request: UserInfoRequest, _context: Call) -> UserInfoResponse:  # noqa: N802 - Flyte's name
        """Return a name."""
        return UserInfoResponse(name="somebody")


@dataclass(frozen=True)
class Answer:
    """What came back; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's JSON."""
        return json.loads(self.body)


@dataclass
class Edge:
    """A running server and what lies behind it."""

    port: int
    admin: Admin
    readiness: Readiness
    store: LocalStore
    signer: UrlSigner

    async def ask(
        self, verb: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request, the path untouched."""
        return await asyncio.to_thread(self._ask, verb, path, body, dict(headers or {}))

    def _ask(self, verb: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(verb, path, body, headers)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    """Start the server on a free port."""
    listener = ports.listen("127.0.0.1", 0, flag="--http-port")
    port = listener.getsockname()[1]
    signer = UrlSigner(bytes(range(32)), f"http://127.0.0.1:{port}/objects")
    store = LocalStore(f"file://{tmp_path}/objects", signer=signer)
    admin, readiness = Admin(), Readiness("all")
    services = (
        Service(admin_pb2.DESCRIPTOR.services_by_name["AdminService"], admin),
        Service(identity_pb2.DESCRIPTOR.services_by_name["IdentityService"], Identity()),
    )
    endpoint = ObjectEndpoint(store, signer, max_bytes=MAX_OBJECT_BYTES)
    app = http_app(methods_of(services, STANDARD), readiness, endpoint, version="1.2.3", origins=("*",))
    server = HttpServer(app, listener)
    await server.start()
    yield Edge(port, admin, readiness, store, signer)
    await server.stop()
