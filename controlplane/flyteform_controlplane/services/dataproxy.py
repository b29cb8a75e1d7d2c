"""The DataProxyService: signed URLs for uploads and downloads, and data by its flyte:// URL (contract 1.8)."""

from __future__ import annotations

import base64
import re
import secrets
import string
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from flyteidl.admin.common_pb2 import Sort
from flyteidl.admin.node_execution_pb2 import NodeExecutionGetDataRequest, NodeExecutionGetRequest
from flyteidl.admin.task_execution_pb2 import TaskExecutionGetDataRequest, TaskExecutionListRequest
from flyteidl.core.identifier_pb2 import NodeExecutionIdentifier, WorkflowExecutionIdentifier
from flyteidl.service.dataproxy_pb2 import (
    ARTIFACT_TYPE_DECK,
    CreateDownloadLinkRequest,
    CreateDownloadLinkResponse,
    CreateDownloadLocationRequest,
    CreateDownloadLocationResponse,
    CreateUploadLocationRequest,
    CreateUploadLocationResponse,
    GetDataRequest,
    GetDataResponse,
    PreSignedURLs,
)
from flyteidl.service.dataproxy_pb2_grpc import DataProxyServiceServicer
from google.protobuf.timestamp_pb2 import Timestamp

from flyteform_controlplane.errors import EntityExistsError, InvalidArgumentError, MissingEntityError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteidl.admin.node_execution_pb2 import NodeExecution, NodeExecutionGetDataResponse
    from flyteidl.admin.task_execution_pb2 import TaskExecutionGetDataResponse, TaskExecutionList
    from flyteidl.core.literals_pb2 import LiteralMap
    from google.protobuf.duration_pb2 import Duration

    from flyteform.objects.ports import ObjectStore

MD5_BYTES = 16
RANDOM_NAME_LENGTH = 20
_ALPHABET = string.ascii_lowercase + string.digits
_FLYTE_URL = re.compile(
    r"flyte://v1/(?:org/(?P<org>[\w.-]+)/)?(?P<project>[\w.-]+)/(?P<domain>[\w.-]+)/(?P<execution>[\w.-]+)"
    r"/(?P<node>[\w.-]+)(?:/(?P<attempt>[0-9]{1,9}))?/(?:(?P<kind>[iod])|(?P<part>[io])/(?P<name>[\w.-]+))",
    re.ASCII,
).fullmatch


class ExecutionReads(Protocol):
    """What is read of executions: these methods of the AdminService."""

    async def GetNodeExecution(self, request: NodeExecutionGetRequest, context: Any, /) -> NodeExecution:
        """Return the node execution."""
        ...

    async def GetNodeExecutionData(
        self, request: NodeExecutionGetDataRequest, context: Any, /
    ) -> NodeExecutionGetDataResponse:
        """Return the node's inputs and outputs."""
        ...

    async def ListTaskExecutions(self, request: TaskExecutionListRequest, context: Any, /) -> TaskExecutionList:
        """List the attempts of a node."""
        ...

    async def GetTaskExecutionData(
        self, request: TaskExecutionGetDataRequest, context: Any, /
    ) -> TaskExecutionGetDataResponse:
        """Return the attempt's inputs and outputs."""
        ...


class DataProxyService(DataProxyServiceServicer):
    """Lets clients reach the object store without credentials of their own.

    Uploads go below `<store's prefix>/uploads`; no URL is good for longer than `max_expiry`.
    """

    def __init__(
        self,
        objects: ObjectStore,
        executions: ExecutionReads,
        *,
        max_expiry: timedelta = timedelta(hours=1),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._objects = objects
        self._executions = executions
        self._max_expiry = max_expiry
        self._now = now

    async def CreateUploadLocation(
        self,
        request: CreateUploadLocationRequest,
        context: Any,  # noqa: ARG002 - gRPC's signature
    ) -> CreateUploadLocationResponse:
        """Sign a PUT; refused where other content lies under a name that the client chose."""
        _validate_upload(request)
        expiry = self._expiry(request, request.expires_in)
        root = request.filename_root or base64.b32encode(request.content_md5).decode()
        parts = [request.project, request.domain, root, request.filename or _random_name()]
        uri = "/".join([self._objects.prefix, "uploads", *([request.org] if request.org else []), *parts])
        if request.filename and request.filename_root:
            await self._refuse_other_content(uri, request.content_md5)
        signed = await self._objects.sign(uri, "PUT", expiry, md5=request.content_md5 or None)
        return CreateUploadLocationResponse(
            signed_url=signed.url, native_url=uri, expires_at=self._until(expiry), headers=signed.headers
        )

    async def CreateDownloadLocation(
        self,
        request: CreateDownloadLocationRequest,
        context: Any,  # noqa: ARG002 - gRPC's signature
    ) -> CreateDownloadLocationResponse:
        """Sign a GET of an object by its native URL."""
        if not request.native_url:
            raise InvalidArgumentError("native_url is a required parameter")
        expiry = self._expiry(request, request.expires_in)
        signed = await self._objects.sign(request.native_url, "GET", expiry)
        return CreateDownloadLocationResponse(signed_url=signed.url, expires_at=self._until(expiry))

    async def CreateDownloadLink(self, request: CreateDownloadLinkRequest, context: Any) -> CreateDownloadLinkResponse:
        """Sign a GET of a node's deck."""
        if request.artifact_type != ARTIFACT_TYPE_DECK:
            raise InvalidArgumentError(f"invalid artifact type [{request.artifact_type}]: only decks have links")
        if request.WhichOneof("source") is None:
            raise InvalidArgumentError("source is required: give node_execution_id")
        expiry = self._expiry(request, request.expires_in)
        urls = await self._deck(request.node_execution_id, expiry, context)
        return CreateDownloadLinkResponse(signed_url=urls.signed_url, expires_at=urls.expires_at, pre_signed_urls=urls)

    async def GetData(self, request: GetDataRequest, context: Any) -> GetDataResponse:
        """Return what a flyte:// URL names: all inputs or outputs, one of them, or a URL of the deck."""
        found = _FLYTE_URL(request.flyte_url)
        if found is None:
            raise InvalidArgumentError(
                f"failed to parse [{request.flyte_url}]: a data URL is "
                "flyte://v1/<project>/<domain>/<execution>/<node>[/<attempt>]/(i|o|d), or …/(i|o)/<name>"
            )
        kind, attempt = found["kind"] or found["part"], found["attempt"]
        node = NodeExecutionIdentifier(
            node_id=found["node"],
            execution_id=WorkflowExecutionIdentifier(
                org=found["org"] or "", project=found["project"], domain=found["domain"], name=found["execution"]
            ),
        )
        if kind == "d":
            if attempt is not None:
                raise InvalidArgumentError("a deck belongs to its node: leave the attempt out of the URL")
            return GetDataResponse(pre_signed_urls=await self._deck(node, self._max_expiry, context))
        data = await (self._node_data(node, context) if attempt is None else self._data(node, int(attempt), context))
        return _answer(data.full_inputs if kind == "i" else data.full_outputs, found["name"], request.flyte_url)

    async def _node_data(self, node: NodeExecutionIdentifier, context: Any) -> NodeExecutionGetDataResponse:
        return await self._executions.GetNodeExecutionData(NodeExecutionGetDataRequest(id=node), context)

    async def _data(self, node: NodeExecutionIdentifier, attempt: int, context: Any) -> TaskExecutionGetDataResponse:
        listing = TaskExecutionListRequest(
            node_execution_id=node,
            limit=1,
            filters=f"eq(retry_attempt,{attempt})",
            sort_by=Sort(key="created_at", direction=Sort.ASCENDING),
        )
        found = await self._executions.ListTaskExecutions(listing, context)
        if not found.task_executions:
            raise MissingEntityError(f"node {node.node_id} has no attempt {attempt}")
        request = TaskExecutionGetDataRequest(id=found.task_executions[0].id)
        return await self._executions.GetTaskExecutionData(request, context)

    async def _deck(self, node: NodeExecutionIdentifier, expiry: timedelta, context: Any) -> PreSignedURLs:
        execution = await self._executions.GetNodeExecution(NodeExecutionGetRequest(id=node), context)
        uri = execution.closure.deck_uri
        if not uri:
            raise MissingEntityError(f"node {node.node_id} of execution {node.execution_id.name} has no deck")
        if await self._objects.head(uri) is None:
            raise MissingEntityError(f"the deck of node {node.node_id} is not written yet, try again later")
        signed = await self._objects.sign(uri, "GET", expiry)
        return PreSignedURLs(signed_url=[signed.url], expires_at=self._until(expiry))

    async def _refuse_other_content(self, uri: str, md5: bytes) -> None:
        present = await self._objects.head(uri)
        if present is not None and (not md5 or present.md5 != md5):
            raise EntityExistsError(
                f"file already exists at location [{uri}], specify a matching hash if you wish to rewrite"
            )

    def _until(self, expiry: timedelta) -> Timestamp:
        timestamp = Timestamp()
        timestamp.FromDatetime(self._now() + expiry)
        return timestamp

    def _expiry(self, request: Any, asked: Duration) -> timedelta:
        if not request.HasField("expires_in") or (asked.seconds, asked.nanos) == (0, 0):
            return self._max_expiry
        try:
            expiry = asked.ToTimedelta()
        except (ValueError, OverflowError) as error:
            raise InvalidArgumentError("expires_in is invalid") from error
        if expiry <= timedelta(0):
            raise InvalidArgumentError("expires_in cannot be less than 0")
        if expiry > self._max_expiry:
            raise InvalidArgumentError(
                f"expires_in [{expiry}] cannot exceed max allowed expiration [{self._max_expiry}]"
            )
        return expiry


def _validate_upload(request: CreateUploadLocationRequest) -> None:
    if not request.project or not request.domain:
        raise InvalidArgumentError("project and domain are required parameters")
    if "/" in request.project + request.domain + request.org:
        raise InvalidArgumentError("project, domain and org cannot have a slash in them")
    if not request.content_md5 and not request.filename_root:
        raise InvalidArgumentError("content_md5 or filename_root is a required parameter")
    if len(request.content_md5) not in (0, MD5_BYTES):
        raise InvalidArgumentError(f"content_md5 has {len(request.content_md5)} bytes instead of {MD5_BYTES}")


def _answer(literals: LiteralMap, name: str | None, url: str) -> GetDataResponse:
    if name is None:
        return GetDataResponse(literal_map=literals)
    if name not in literals.literals:
        raise MissingEntityError(f"there is no {name} at {url.removesuffix('/' + name)}")
    return GetDataResponse(literal=literals.literals[name])


def _random_name() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(RANDOM_NAME_LENGTH))
