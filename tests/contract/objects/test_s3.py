"""What S3 has of its own: signed URLs used as clients do, and the errors of a store that is not as it should be."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import grpc.aio
import pytest
from flyteidl.service.dataproxy_pb2 import CreateDownloadLocationRequest, CreateUploadLocationRequest
from flyteidl.service.dataproxy_pb2_grpc import DataProxyServiceStub

from flyteform.errors import InvalidInputError, NotFoundError, UnavailableError
from flyteform.objects.s3 import S3Store
from flyteform_controlplane.server import ControlPlane
from flyteform_controlplane.settings import ControlPlaneSettings
from support.s3 import SECRET, S3Server, running_s3

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

HOUR = timedelta(hours=1)
CONTENT = b"a code bundle" * 100
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).digest()


async def send(method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> tuple[int, bytes]:
    """Send one request and return status and body."""
    request = urllib.request.Request(url, body, dict(headers), method=method)  # noqa: S310 - our own server

    def ask() -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(request) as response:  # noqa: S310 - as above
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    return await asyncio.to_thread(ask)


@pytest.fixture
def store(s3: S3Server) -> S3Store:
    """Open an empty store."""
    return S3Store(s3.new_prefix(), s3.environment)


@pytest.mark.parametrize("name", ["bundle.tar.gz", "a b/ü+%2f~(1)"])
async def test_a_signed_upload_takes_its_content_alone(store: S3Store, name: str) -> None:
    """A URL that is bound to an MD5 stores that content, and refuses other content and a request without the header."""
    uri = f"{store.prefix}/{name}"
    signed = await store.sign(uri, "PUT", HOUR, md5=MD5)
    assert (await send("PUT", signed.url, signed.headers, b"other"))[0] == 400
    assert (await send("PUT", signed.url, {}, CONTENT))[0] == 403
    other = {**signed.headers, "Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}
    assert (await send("PUT", signed.url, other, CONTENT))[0] == 403
    assert await store.head(uri) is None
    assert (await send("PUT", signed.url, signed.headers, CONTENT))[0] == 200
    assert await store.get(uri) == CONTENT
    info = await store.head(uri)
    assert info is not None
    assert (info.size, info.md5) == (len(CONTENT), MD5)


async def test_signed_urls_are_for_one_method_and_object(store: S3Store) -> None:
    """A URL for reading reads that object; it writes nothing and reads nothing else."""
    uri = f"{store.prefix}/a"
    upload = await store.sign(uri, "PUT", HOUR)
    assert (await send("PUT", upload.url, upload.headers, CONTENT))[0] == 200
    download = await store.sign(uri, "GET", HOUR)
    assert await send("GET", download.url, {}) == (200, CONTENT)
    assert (await send("PUT", download.url, {}, b"other"))[0] == 403
    assert (await send("GET", download.url.replace("/a?", "/b?"), {}))[0] == 403
    assert await store.get(uri) == CONTENT


async def test_uploads_need_keys(s3: S3Server, store: S3Store) -> None:
    """Without keys no upload of a given content can be signed, and the error says which to set."""
    nobody = S3Store(store.prefix, {"AWS_ENDPOINT_URL": s3.endpoint})
    with pytest.raises(InvalidInputError) as caught:
        await nobody.sign(f"{store.prefix}/a", "PUT", HOUR, md5=MD5)
    assert "AWS_ACCESS_KEY_ID" in str(caught.value.remedy)


@pytest.mark.parametrize("prefix", ["s3://", "s3:///a", "s3://bucket/../a", "s3://bucket//a"])
def test_prefixes_that_name_no_bucket(prefix: str) -> None:
    """A prefix without a bucket, or that is not plain, is refused at once."""
    with pytest.raises(InvalidInputError):
        S3Store(prefix, {})


async def test_names_that_are_too_long(store: S3Store) -> None:
    """A name over S3's limit is the caller's fault, not the store's."""
    with pytest.raises(InvalidInputError, match="1024"):
        await store.put(f"{store.prefix}/{'a' * 1100}", b"")


@pytest.mark.parametrize("wrong", [{"AWS_SECRET_ACCESS_KEY": "wrong"}, {"bucket": "absent"}])
async def test_a_store_that_refuses(s3: S3Server, store: S3Store, wrong: dict[str, str]) -> None:
    """Wrong keys and an absent bucket are told with the server's word for it, as unavailable, without any key."""
    prefix = f"s3://{wrong['bucket']}/x" if "bucket" in wrong else store.prefix
    refused = S3Store(prefix, s3.environment | wrong)
    with pytest.raises(UnavailableError, match=r"refuses this: \w+") as caught:
        await refused.get(f"{prefix}/a")
    assert SECRET not in str(caught.value) + str(caught.value.remedy)


async def test_a_store_that_went_away_and_came_back() -> None:
    """Without its server the store says within seconds that it does not answer; once that is back, all is well."""
    with running_s3() as server:
        store = S3Store(server.new_prefix(), server.environment)
        await store.put(f"{store.prefix}/a", b"before")
        server.stop()
        async with asyncio.timeout(20):
            with pytest.raises(UnavailableError, match="does not answer"):
                await store.get(f"{store.prefix}/a")
        server.start()
        await store.put(f"{store.prefix}/b", b"after")
        assert await store.get(f"{store.prefix}/b") == b"after"
        with pytest.raises(NotFoundError):
            await store.get(f"{store.prefix}/c")


class Busy(BaseHTTPRequestHandler):
    """A server that refuses a few requests, and then does what it is asked for."""

    refusals = 4

    def do_PUT(self) -> None:
        """Take an object, or ask to come again."""
        self.rfile.read(int(self.headers["Content-Length"]))
        Busy.refusals -= 1
        self.send_response(503 if Busy.refusals >= 0 else 200)
        self.send_header("Content-Length", "0")
        self.send_header("ETag", '"0"')
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("patience", ["", "60"])
async def test_who_has_patience_asks_more_often(patience: str) -> None:
    """What a task has made is not lost because its store was away for longer than a server would wait."""
    Busy.refusals = 4
    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "FLYTEFORM_STORE_PATIENCE": patience,
    }
    store = S3Store("s3://bucket/prefix", environment)
    try:
        if patience:
            await store.put("s3://bucket/prefix/a", b"made in hours")
        else:
            with pytest.raises(UnavailableError):
                await store.put("s3://bucket/prefix/a", b"made in hours")
    finally:
        await asyncio.to_thread(server.shutdown)
        thread.join()
        server.server_close()


@asynccontextmanager
async def control_plane(
    s3: S3Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DataProxyServiceStub]:
    """Run a control plane whose objects are in S3."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    settings = ControlPlaneSettings(folder, grpc_port=0, http_port=0, objects_prefix=s3.new_prefix())
    running = ControlPlane(settings)
    addresses = await running.start()
    try:
        async with grpc.aio.insecure_channel(addresses.grpc) as channel:
            yield DataProxyServiceStub(channel)
    finally:
        await running.stop()


async def test_uploads_through_a_control_plane(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that asks the control plane for a place puts its bundle into S3 and gets it from there again."""
    async with control_plane(s3, tmp_path, monkeypatch) as proxy:
        asked = CreateUploadLocationRequest(
            project="flytesnacks", domain="development", filename="f.tgz", content_md5=MD5
        )
        upload = await proxy.CreateUploadLocation(asked)
        assert upload.native_url.startswith("s3://tests/")
        assert (await send("PUT", upload.signed_url, upload.headers, b"other"))[0] == 400
        assert (await send("PUT", upload.signed_url, upload.headers, CONTENT))[0] == 200
        location = await proxy.CreateDownloadLocation(CreateDownloadLocationRequest(native_url=upload.native_url))
        assert await send("GET", location.signed_url, {}) == (200, CONTENT)
