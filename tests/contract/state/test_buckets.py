"""What buckets have of their own: stores that ignore conditions, answers that are lost, and words about them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import obstore
import pytest
from obstore.exceptions import GenericError
from obstore.store import LocalStore, MemoryStore

from flyteform.errors import InvalidInputError
from flyteform.provision.errors import StateError
from flyteform.provision.opening import open_backend, open_state
from flyteform.provision.ports import Holder
from flyteform.provision.state_bucket import BucketBackend

if TYPE_CHECKING:
    from pathlib import Path

    from support.azure import AzureServer
    from support.gcs import GcsServer
    from support.s3 import S3Server

ME = Holder("me", "2026-01-01T00:00:00Z")
URL = "s3://bucket/a/b.json"


async def test_a_store_that_ignores_conditions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that overwrites whatever it is told would let two write at once: it is refused, before any apply."""
    put = obstore.put_async

    async def careless(store: Any, path: str, data: bytes, **options: Any) -> Any:
        return await put(store, path, data, **(options | {"mode": "overwrite"}))

    monkeypatch.setattr("flyteform.provision.state_bucket.obstore.put_async", careless)
    with pytest.raises(StateError, match="ignores the conditions of writes"):
        await BucketBackend(URL, MemoryStore()).acquire(ME)


async def test_a_store_without_conditions_is_refused(tmp_path: Path) -> None:
    """A store that says that it has no conditional writes is told from one that cannot be reached."""
    with pytest.raises(StateError, match="knows no conditional writes") as caught:
        await BucketBackend(URL, LocalStore(tmp_path)).acquire(ME)
    assert "keep the state elsewhere" in str(caught.value.remedy)


async def test_a_write_whose_answer_is_lost_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client sends a write again when no answer came; that the first one was done is no sign of another holder."""
    put = obstore.put_async
    store = MemoryStore()
    lease = await BucketBackend(URL, store).acquire(ME)

    async def twice(*arguments: Any, **options: Any) -> Any:
        await put(*arguments, **options)
        return await put(*arguments, **options)

    monkeypatch.setattr("flyteform.provision.state_bucket.obstore.put_async", twice)
    await lease.write("one", 1)
    await lease.write("two", 2)
    lease.check()
    await lease.release()
    assert await BucketBackend(URL, store).read() == "two"


async def test_a_conflict_that_says_nothing_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 may answer that another write was under way at the same moment: then nothing is decided yet."""
    put, store = obstore.put_async, MemoryStore()
    answers = iter([True, True, False, True])

    async def conflicting(*arguments: Any, **options: Any) -> Any:
        if next(answers, False):
            raise GenericError("409 Conflict: <Error><Code>ConditionalRequestConflict</Code></Error>")
        return await put(*arguments, **options)

    monkeypatch.setattr("flyteform.provision.state_bucket.obstore.put_async", conflicting)
    lease = await BucketBackend(URL, store).acquire(ME)
    await lease.write("one", 1)
    await lease.release()
    assert await BucketBackend(URL, store).read() == "one"


@pytest.mark.parametrize("data", [b"", b"{}", b'{"format": "other"}', b"\xff", b'{"format": "flyteform-state-object"}'])
async def test_an_object_that_is_no_state_is_left_alone(data: bytes) -> None:
    """Something else under that name is never taken for a state, nor overwritten."""
    store = MemoryStore()
    await obstore.put_async(store, "a/b.json", data)
    backend = BucketBackend(URL, store)
    for call in (backend.read, backend.holder, lambda: backend.acquire(ME)):
        with pytest.raises(StateError, match="is no state of this release"):
            await call()
    assert bytes((await obstore.get_async(store, "a/b.json")).bytes()) == data


async def test_no_two_writes_have_the_same_bytes() -> None:
    """The same state written again is another object: an ETag that is a digest tells the two apart."""
    store = MemoryStore()
    lease = await BucketBackend(URL, store).acquire(ME)
    seen = set()
    for serial in (1, 2):
        await lease.write("same", serial)
        data = bytes((await obstore.get_async(store, "a/b.json")).bytes())
        seen.add(data)
        assert json.loads(data)["state"] == "same"
    await lease.release()
    assert len(seen) == 2


@pytest.mark.parametrize(
    "url", ["s3://", "s3://bucket", "s3://bucket/", "gs://b/p/", "az:///x", "ftp://a/b", "http://x/y"]
)
def test_urls_that_name_no_state(url: str) -> None:
    """The error says how a state is named."""
    with pytest.raises(InvalidInputError) as caught:
        open_backend(url)
    assert "NAME" in str(caught.value.remedy)


@pytest.mark.parametrize(
    ("kind", "missing", "key", "refused", "endpoint"),
    [
        ("s3", "NoSuchBucket", "AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch", "AWS_ENDPOINT_URL"),
        ("azure", "ContainerNotFound", "AZURE_STORAGE_ACCOUNT_KEY", "AuthorizationFailure", "AZURE_STORAGE_ENDPOINT"),
        ("gcs", "NoSuchBucket", "GOOGLE_BEARER_TOKEN", "AuthenticationRequired", "GOOGLE_BASE_URL"),
    ],
)
async def test_a_bucket_that_cannot_be_reached(
    kind: str,
    missing: str,
    key: str,
    refused: str,
    endpoint: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A missing bucket, wrong keys and a dead server are one clear error each, without addresses or keys in it."""
    server: S3Server | AzureServer | GcsServer = request.getfixturevalue(kind)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    url = f"{server.new_prefix()}/s.json"
    with pytest.raises(StateError, match=f"cannot be reached: {missing}"):
        await open_state(url.replace("tests", "nowhere"), environ={}).load()
    monkeypatch.setenv(key, "d3Jvbmc=")
    with pytest.raises(StateError, match=f"cannot be reached: {refused}"):
        await open_state(url, environ={}).load()
    monkeypatch.setenv(endpoint, "http://127.0.0.1:1")
    with pytest.raises(StateError, match=r"cannot be reached$"):
        await open_state(url, environ={}).load()


async def test_a_store_that_takes_one_write_a_second(gcs: GcsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """GCS refuses writes that follow each other too fast; each is sent again until it is taken, and none is lost."""
    for name, value in gcs.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(gcs, "seconds_between_writes", 1.0)
    backend, before = BucketBackend(f"{gcs.new_prefix()}/s.json"), gcs.refused
    lease = await backend.acquire(ME)
    await lease.write("one", 1)
    await lease.write("two", 2)
    await lease.release()
    assert gcs.refused > before
    assert await backend.read() == "two"
    assert await backend.holder() is None
