"""The DataProxyService: what it signs, for how long, and what a flyte:// URL stands for."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flyteidl.admin.node_execution_pb2 import (
    NodeExecution,
    NodeExecutionClosure,
    NodeExecutionGetDataRequest,
    NodeExecutionGetDataResponse,
    NodeExecutionGetRequest,
)
from flyteidl.admin.task_execution_pb2 import (
    TaskExecution,
    TaskExecutionGetDataRequest,
    TaskExecutionGetDataResponse,
    TaskExecutionList,
    TaskExecutionListRequest,
)
from flyteidl.core.identifier_pb2 import NodeExecutionIdentifier, TaskExecutionIdentifier, WorkflowExecutionIdentifier
from flyteidl.core.literals_pb2 import Literal, LiteralMap
from flyteidl.service.dataproxy_pb2 import (
    ARTIFACT_TYPE_DECK,
    CreateDownloadLinkRequest,
    CreateDownloadLocationRequest,
    CreateUploadLocationRequest,
    GetDataRequest,
)
from google.protobuf.duration_pb2 import Duration

from flyteform.errors import InvalidInputError
from flyteform.objects.local import LocalStore
from flyteform.objects.signing import UrlSigner
from flyteform_controlplane.errors import EntityExistsError, InvalidArgumentError, MissingEntityError
from flyteform_controlplane.services.dataproxy import DataProxyService

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2024, 1, 1, tzinfo=UTC)
CONTENT = b"content"
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).digest()
NODE = NodeExecutionIdentifier(
    node_id="n0", execution_id=WorkflowExecutionIdentifier(project="p", domain="d", name="e")
)
PROXY_URL = "flyte://v1/p/d/e/n0"


def literals(**values: str) -> LiteralMap:
    """Make string literals."""
    return LiteralMap(literals={k: Literal(scalar={"primitive": {"string_value": v}}) for k, v in values.items()})


class Executions:
    """One node with two attempts, and maybe a deck."""

    deck_uri = ""

    async def GetNodeExecution(self, request: NodeExecutionGetRequest, _context: Any) -> NodeExecution:  # noqa: N802 - Flyte's name
        """Return the node."""
        if request.id != NODE:
            raise MissingEntityError("no such node")
        return NodeExecution(id=NODE, closure=NodeExecutionClosure(deck_uri=self.deck_uri))

    async def GetNodeExecutionData(  # noqa: N802 - Flyte's name
        self, request: NodeExecutionGetDataRequest, _context: Any
    ) -> NodeExecutionGetDataResponse:
        """Return the node's data."""
        assert request.id == NODE
        return NodeExecutionGetDataResponse(full_inputs=literals(a="in"), full_outputs=literals(b="out"))

    async def ListTaskExecutions(self, request: TaskExecutionListRequest, _context: Any) -> TaskExecutionList:  # noqa: N802 - Flyte's name
        """List attempt 1 alone."""
        found = request.filters == "eq(retry_attempt,1)" and request.node_execution_id == NODE
        attempt = TaskExecution(id=TaskExecutionIdentifier(node_execution_id=NODE, retry_attempt=1))
        return TaskExecutionList(task_executions=[attempt] if found else [])

    async def GetTaskExecutionData(  # noqa: N802 - Flyte's name
        self, request: TaskExecutionGetDataRequest, _context: Any
    ) -> TaskExecutionGetDataResponse:
        """Return the attempt's data."""
        assert request.id.retry_attempt == 1
        return TaskExecutionGetDataResponse(full_outputs=literals(b="attempt"))


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """Open a store whose clock stands still."""
    signer = UrlSigner(bytes(32), "http://h/objects", clock=NOW.timestamp)
    return LocalStore(f"file://{tmp_path}", signer=signer)


@pytest.fixture
def executions() -> Executions:
    """Return what is read of executions."""
    return Executions()


@pytest.fixture
def proxy(store: LocalStore, executions: Executions) -> DataProxyService:
    """Build the service."""
    return DataProxyService(store, executions, now=lambda: NOW)


def upload(**fields: Any) -> CreateUploadLocationRequest:
    """Make a request for an upload."""
    return CreateUploadLocationRequest(**{"project": "p", "domain": "d", "filename": "f", **fields})


async def test_uploads_are_named_by_their_content(proxy: DataProxyService, store: LocalStore) -> None:
    """Without a root the path has the base32 of the MD5; the URL is good for an hour, and the header is told."""
    answer = await proxy.CreateUploadLocation(upload(content_md5=MD5, add_content_md5_metadata=True), None)
    assert answer.native_url == f"{store.prefix}/uploads/p/d/{base64.b32encode(MD5).decode()}/f"
    assert answer.expires_at.ToDatetime(tzinfo=UTC) == NOW + timedelta(hours=1)
    assert dict(answer.headers) == {"Content-MD5": base64.b64encode(MD5).decode()}
    query = parse_qs(urlsplit(answer.signed_url).query)
    assert (query["method"], query["expires"]) == (["PUT"], [str(int(NOW.timestamp()) + 3600)])


async def test_uploads_below_a_root(proxy: DataProxyService, store: LocalStore) -> None:
    """A root takes the place of the hash, an organisation goes before the project, a missing name is random."""
    answer = await proxy.CreateUploadLocation(upload(filename_root="root", filename="", org="o"), None)
    start, _, name = answer.native_url.rpartition("/")
    assert start == f"{store.prefix}/uploads/o/p/d/root"
    assert len(name) == 20
    assert dict(answer.headers) == {}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"project": "", "content_md5": MD5}, "project and domain are required"),
        ({"domain": "", "content_md5": MD5}, "project and domain are required"),
        ({}, "content_md5 or filename_root is a required"),
        ({"content_md5": b"short"}, "5 bytes"),
        ({"project": "p/x", "content_md5": MD5}, "slash"),
        ({"content_md5": MD5, "expires_in": Duration(seconds=3601)}, "cannot exceed"),
        ({"content_md5": MD5, "expires_in": Duration(seconds=-1)}, "less than 0"),
        ({"content_md5": MD5, "expires_in": Duration(seconds=10**15)}, "invalid"),
    ],
)
async def test_wrong_uploads_are_refused(proxy: DataProxyService, fields: dict[str, Any], told: str) -> None:
    """What is missing or out of bounds is an invalid argument that says so."""
    with pytest.raises(InvalidArgumentError, match=told):
        await proxy.CreateUploadLocation(upload(**fields), None)


@pytest.mark.parametrize("name", ["../f", "a/../../f", "/f", "a//f", "\0"])
async def test_uploads_cannot_leave_their_place(proxy: DataProxyService, name: str) -> None:
    """A file name that climbs is refused."""
    with pytest.raises(InvalidInputError):
        await proxy.CreateUploadLocation(upload(filename_root="root", filename=name), None)


async def test_a_known_name_keeps_its_content(proxy: DataProxyService, store: LocalStore) -> None:
    """Where an object lies, only the same content may be put again."""
    await store.put(f"{store.prefix}/uploads/p/d/root/f", CONTENT)
    await proxy.CreateUploadLocation(upload(filename_root="root", content_md5=MD5), None)
    for md5 in (b"", bytes(16)):
        with pytest.raises(EntityExistsError, match="uploads/p/d/root/f"):
            await proxy.CreateUploadLocation(upload(filename_root="root", content_md5=md5), None)


async def test_downloads_by_native_url(proxy: DataProxyService, store: LocalStore) -> None:
    """A native URL is signed for as long as was asked, and only if it is the store's."""
    request = CreateDownloadLocationRequest(native_url=f"{store.prefix}/a", expires_in=Duration(seconds=60))
    answer = await proxy.CreateDownloadLocation(request, None)
    assert answer.expires_at.ToDatetime(tzinfo=UTC) == NOW + timedelta(minutes=1)
    assert urlsplit(answer.signed_url).path == "/objects/a"
    for wrong in ("", "s3://bucket/a", "file:///etc/passwd"):
        with pytest.raises((InvalidArgumentError, InvalidInputError)):
            await proxy.CreateDownloadLocation(CreateDownloadLocationRequest(native_url=wrong), None)


async def test_links_to_decks(proxy: DataProxyService, store: LocalStore, executions: Executions) -> None:
    """A deck has a link once its file is there."""
    request = CreateDownloadLinkRequest(artifact_type=ARTIFACT_TYPE_DECK, node_execution_id=NODE)
    with pytest.raises(MissingEntityError, match="has no deck"):
        await proxy.CreateDownloadLink(request, None)
    executions.deck_uri = f"{store.prefix}/deck.html"
    with pytest.raises(MissingEntityError, match="not written yet"):
        await proxy.CreateDownloadLink(request, None)
    await store.put(executions.deck_uri, b"<p>")
    answer = await proxy.CreateDownloadLink(request, None)
    assert list(answer.signed_url) == list(answer.pre_signed_urls.signed_url)
    assert urlsplit(answer.signed_url[0]).path == "/objects/deck.html"
    for wrong in (
        CreateDownloadLinkRequest(node_execution_id=NODE),
        CreateDownloadLinkRequest(artifact_type=ARTIFACT_TYPE_DECK),
    ):
        with pytest.raises(InvalidArgumentError):
            await proxy.CreateDownloadLink(wrong, None)


async def test_data_by_flyte_url(proxy: DataProxyService, store: LocalStore, executions: Executions) -> None:
    """The URL's end says what comes: all inputs or outputs, of the node or an attempt, one literal, or the deck."""

    async def data(tail: str) -> Any:
        return await proxy.GetData(GetDataRequest(flyte_url=PROXY_URL + tail), None)

    assert (await data("/i")).literal_map == literals(a="in")
    assert (await data("/o")).literal_map == literals(b="out")
    assert (await data("/1/o")).literal_map == literals(b="attempt")
    assert (await data("/o/b")).literal == literals(b="out").literals["b"]
    assert (await data("/1/o/b")).literal == literals(b="attempt").literals["b"]
    executions.deck_uri = f"{store.prefix}/deck.html"
    await store.put(executions.deck_uri, b"<p>")
    assert len((await data("/d")).pre_signed_urls.signed_url) == 1
    with pytest.raises(MissingEntityError, match="there is no none"):
        await data("/o/none")
    with pytest.raises(MissingEntityError, match="no attempt 2"):
        await data("/2/o")
    with pytest.raises(InvalidArgumentError, match="deck"):
        await data("/1/d")


@pytest.mark.parametrize(
    "url", ["", "flyte://v1/p/d/e/n0", PROXY_URL + "/x", "http://v1/p/d/e/n0/i", PROXY_URL + "/d/a"]
)
async def test_other_urls_are_refused(proxy: DataProxyService, url: str) -> None:
    """What is no data URL is an invalid argument that shows the form."""
    with pytest.raises(InvalidArgumentError, match="flyte://v1/<project>"):
        await proxy.GetData(GetDataRequest(flyte_url=url), None)
