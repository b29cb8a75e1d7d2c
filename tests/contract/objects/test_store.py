"""What every object store has to do, run over each adapter."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import pytest

from flyteform.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from flyteform.objects import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform.objects.ports import ObjectStore
    from support.s3 import S3Server


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """Open an empty store of each kind."""
    if request.param == "local":
        return open_store(f"file://{tmp_path}/objects")
    server: S3Server = request.getfixturevalue("s3")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        return open_store(server.new_prefix())


async def uris(store: ObjectStore, prefix: str) -> list[str]:
    """List the URIs below a prefix, relative to the store's own."""
    return [info.uri.removeprefix(store.prefix + "/") async for info in store.list(prefix)]


async def test_get_returns_what_was_put(store: ObjectStore) -> None:
    """Content comes back byte for byte, whether it is empty, small or large."""
    for name, data in {"empty": b"", "small": b"\x00\xff", "large": bytes(range(256)) * 4096}.items():
        await store.put(f"{store.prefix}/{name}", data)
        assert await store.get(f"{store.prefix}/{name}") == data


async def test_put_replaces(store: ObjectStore) -> None:
    """A second put wins."""
    await store.put(f"{store.prefix}/a", b"one")
    await store.put(f"{store.prefix}/a", b"two")
    assert await store.get(f"{store.prefix}/a") == b"two"


async def test_put_of_what_need_not_last(store: ObjectStore) -> None:
    """What is not stored durably is read, replaced and refused as anything else."""
    await store.put(f"{store.prefix}/a/b", b"one", durable=False)
    await store.put(f"{store.prefix}/a/b", b"two", durable=False)
    assert await store.get(f"{store.prefix}/a/b") == b"two"
    with pytest.raises(AlreadyExistsError):
        await store.put(f"{store.prefix}/a/b", b"three", if_absent=True, durable=False)


@pytest.mark.parametrize("size", [0, 1, 20 * 1024 * 1024])
async def test_files_become_objects_and_back(store: ObjectStore, tmp_path: Path, size: int) -> None:
    """Of every size, with the digest that an upload at once would have; a file that is there is replaced."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"0123456789abcdef"[: size or 16] * (size // 16 or bool(size)))
    target.write_text("what was here before")
    uri = f"{store.prefix}/large/file"
    await store.store(source, uri)
    found = await store.head(uri)
    assert found is not None
    assert found.md5 == hashlib.md5(source.read_bytes(), usedforsecurity=False).digest()
    await store.fetch(uri, target)
    assert target.read_bytes() == source.read_bytes()


async def test_a_file_of_no_object(store: ObjectStore, tmp_path: Path) -> None:
    """There is nothing to fetch, and nothing below another prefix."""
    with pytest.raises(NotFoundError):
        await store.fetch(f"{store.prefix}/none", tmp_path / "none")
    with pytest.raises(InvalidInputError):
        await store.fetch("file:///elsewhere", tmp_path / "none")


async def test_put_if_absent_keeps_the_first(store: ObjectStore) -> None:
    """A conditional put refuses to replace, and the first content stays."""
    await store.put(f"{store.prefix}/a", b"one", if_absent=True)
    with pytest.raises(AlreadyExistsError):
        await store.put(f"{store.prefix}/a", b"two", if_absent=True)
    assert await store.get(f"{store.prefix}/a") == b"one"


async def test_one_of_many_conditional_puts_wins(store: ObjectStore) -> None:
    """Of concurrent conditional puts exactly one succeeds, and its content is what is stored."""
    uri = f"{store.prefix}/deep/down/a"
    puts = (store.put(uri, bytes([number]) * 100, if_absent=True) for number in range(20))
    outcomes = await asyncio.gather(*puts, return_exceptions=True)
    winners = [number for number, outcome in enumerate(outcomes) if outcome is None]
    assert len(winners) == 1
    assert await store.get(uri) == bytes(winners) * 100
    assert all(isinstance(outcome, AlreadyExistsError) for outcome in outcomes if outcome is not None)


async def test_readers_see_whole_objects(store: ObjectStore) -> None:
    """While an object is replaced, a reader sees one whole version, never a mixture or a part."""
    uri = f"{store.prefix}/a"
    versions = [bytes([number]) * 300_000 for number in range(10)]
    await store.put(uri, versions[0])

    async def write() -> None:
        for version in versions:
            await store.put(uri, version)

    writing = asyncio.create_task(write())
    while not writing.done():
        assert await store.get(uri) in versions
    await writing


async def test_missing_objects(store: ObjectStore) -> None:
    """What is not there is not found, has no description, and can be deleted and listed all the same."""
    uri = f"{store.prefix}/none/here"
    with pytest.raises(NotFoundError, match="none/here"):
        await store.get(uri)
    assert await store.head(uri) is None
    await store.delete(uri)
    assert await uris(store, uri) == []


async def test_a_directory_is_no_object(store: ObjectStore) -> None:
    """The common part of two names is not an object itself."""
    await store.put(f"{store.prefix}/a/b", b"1")
    assert await store.head(f"{store.prefix}/a") is None
    with pytest.raises(NotFoundError):
        await store.get(f"{store.prefix}/a")


async def test_head_describes(store: ObjectStore) -> None:
    """Head gives size and MD5 of the content."""
    data = b"x" * 100_000
    await store.put(f"{store.prefix}/a", data)
    info = await store.head(f"{store.prefix}/a")
    assert info is not None
    assert (info.uri, info.size, info.md5) == (f"{store.prefix}/a", 100_000, hashlib.md5(data).digest())  # noqa: S324 - S3's own checksum


async def test_delete_removes_one_object(store: ObjectStore) -> None:
    """Delete takes one object away and leaves its neighbours."""
    await store.put(f"{store.prefix}/a", b"1")
    await store.put(f"{store.prefix}/ab", b"2")
    await store.delete(f"{store.prefix}/a")
    assert await uris(store, store.prefix) == ["ab"]


async def test_list_is_sorted_and_by_prefix(store: ObjectStore) -> None:
    """A listing is in the order of URIs as text, and a prefix is text, not a directory."""
    names = ["b", "a/z", "a-1", "a/b/c", "a", "a.txt", "ab/x"]
    for name in names:
        if name != "a":
            await store.put(f"{store.prefix}/{name}", name.encode())
    assert await uris(store, store.prefix) == sorted(set(names) - {"a"})
    assert await uris(store, f"{store.prefix}/") == sorted(set(names) - {"a"})
    assert await uris(store, f"{store.prefix}/a/") == ["a/b/c", "a/z"]
    assert await uris(store, f"{store.prefix}/a") == ["a-1", "a.txt", "a/b/c", "a/z", "ab/x"]
    assert await uris(store, f"{store.prefix}/a/b") == ["a/b/c"]


async def test_get_has_a_limit(store: ObjectStore) -> None:
    """An object over the caller's limit is refused, one of exactly the limit is not."""
    await store.put(f"{store.prefix}/a", b"12345")
    assert await store.get(f"{store.prefix}/a", limit=5) == b"12345"
    with pytest.raises(InvalidInputError, match="5 bytes"):
        await store.get(f"{store.prefix}/a", limit=4)


@pytest.mark.parametrize(
    "tail",
    ["/../x", "/a/../../x", "/a/..", "/./a", "//a", "/a//b", "/a/", "/", "", "x/a", "/a\0b", "/\0"],
)
async def test_unsafe_uris_are_refused(store: ObjectStore, tail: str) -> None:
    """No operation takes a URI that is outside the prefix or is not plain."""
    uri = store.prefix + tail
    with pytest.raises(InvalidInputError):
        await store.get(uri)
    with pytest.raises(InvalidInputError):
        await store.put(uri, b"")
    with pytest.raises(InvalidInputError):
        await store.head(uri)
    with pytest.raises(InvalidInputError):
        await store.delete(uri)


@pytest.mark.parametrize("uri", ["s3://bucket/a", "file:///etc/passwd", "/etc/passwd", "", "file://relative/a"])
async def test_foreign_uris_are_refused(store: ObjectStore, uri: str) -> None:
    """A URI of another store is refused, not read."""
    with pytest.raises(InvalidInputError):
        await store.get(uri)


async def test_percent_signs_are_taken_literally(store: ObjectStore) -> None:
    """A URI is not decoded: `%2e%2e` is a name like any other."""
    await store.put(f"{store.prefix}/a/%2e%2e/b c", b"1")
    assert await uris(store, store.prefix) == ["a/%2e%2e/b c"]
