"""What only the local adapter has: links, left-overs of a crash, and the helpers without an event loop."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from flyteform.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from flyteform.objects import local, open_store
from flyteform.objects.local import LocalStore, read_bytes, write_bytes

if TYPE_CHECKING:
    from pathlib import Path


async def test_links_that_lead_out_are_refused(tmp_path: Path) -> None:
    """A symbolic link below the prefix gives no access to what lies outside, neither as file nor as directory."""
    (tmp_path / "secret").write_bytes(b"secret")
    root = tmp_path / "objects"
    root.mkdir()
    (root / "file").symlink_to(tmp_path / "secret")
    (root / "up").symlink_to(tmp_path)
    store = open_store(f"file://{root}")
    for uri in (f"{store.prefix}/file", f"{store.prefix}/up/secret"):
        with pytest.raises(InvalidInputError, match="leads out"):
            await store.get(uri)
        with pytest.raises(InvalidInputError, match="leads out"):
            await store.put(uri, b"changed")
    assert [info.uri async for info in store.list(store.prefix)] == []
    assert (tmp_path / "secret").read_bytes() == b"secret"


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("size", [1, local.INLINE_BYTES + 1])
async def test_whatever_is_done_with_a_link_that_leads_out_is_refused(tmp_path: Path, size: int, durable: bool) -> None:
    """Nothing is read, written, made or removed through it, be it the object's name or a directory on the way."""
    outside, root = tmp_path / "outside", tmp_path / "objects"
    for folder in (outside, root):
        folder.mkdir()
    (outside / "secret").write_bytes(b"s" * size)
    (root / "file").symlink_to(outside / "secret")
    (root / "up").symlink_to(outside)
    (root / "gone").symlink_to(outside / "gone")
    store = LocalStore(f"file://{root}")
    names = ("file", "up/secret", "up/new", "up/new/deep", "up/secret/below", "gone", "gone/deep", "gone/deep/er")
    for name in names:
        uri = f"{store.prefix}/{name}"
        for refused in (
            store.get(uri),
            store.head(uri),
            store.put(uri, b"x" * size, durable=durable),
            store.put(uri, b"x" * size, durable=durable, if_absent=True),
            store.store(outside / "secret", uri),
            store.fetch(uri, tmp_path / "fetched"),
            store.delete(uri),
        ):
            with pytest.raises(InvalidInputError, match="leads out"):
                await refused
        with pytest.raises(InvalidInputError, match="leads out"), store.staged(uri):
            pass
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == b"s" * size
    assert sorted(path.name for path in root.iterdir()) == ["file", "gone", "up"]


async def test_no_listing_through_a_link_that_leads_out(tmp_path: Path) -> None:
    """What lies behind it is not even named."""
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "up").symlink_to(tmp_path)
    (tmp_path / "secret").write_bytes(b"secret")
    store = LocalStore(f"file://{tmp_path}/objects")
    for prefix in ("up/", "up/sec"):
        with pytest.raises(InvalidInputError, match="leads out"):
            await anext(store.list(f"{store.prefix}/{prefix}"))


async def test_a_listing_that_cannot_be(tmp_path: Path) -> None:
    """A folder that no file system can hold is refused as an object of that name is."""
    store = LocalStore(f"file://{tmp_path}")
    for name in ("n" * 300, "\ud800"):
        with pytest.raises(InvalidInputError, match="file system"):
            await anext(store.list(f"{store.prefix}/{name}/"))


@pytest.mark.parametrize("durable", [False, True])
async def test_links_that_stay_inside_are_followed(tmp_path: Path, durable: bool) -> None:
    """A directory and an object may be links within the store; what is put or deleted there is the link's name."""
    store = LocalStore(f"file://{tmp_path}")
    await store.put(f"{store.prefix}/real/a", b"1")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").symlink_to(tmp_path / "real" / "a")
    assert (await store.get(f"{store.prefix}/link/a"), await store.get(f"{store.prefix}/file")) == (b"1", b"1")
    await store.put(f"{store.prefix}/link/new/b", b"2", durable=durable)
    assert (tmp_path / "real" / "new" / "b").read_bytes() == b"2"
    await store.delete(f"{store.prefix}/link/new/b")
    assert not (tmp_path / "real" / "new" / "b").exists()
    await store.put(f"{store.prefix}/file", b"3", durable=durable)
    assert (tmp_path / "real" / "a").read_bytes() == b"1"
    assert not (tmp_path / "file").is_symlink()


async def test_without_a_view_of_open_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not tell the path of an open directory, links are found all the same."""
    known = os.readlink

    def unknown(path: str) -> str:
        if path.startswith("/proc/"):
            raise FileNotFoundError(path)
        return known(path)

    monkeypatch.setattr(os, "readlink", unknown)
    await test_links_that_stay_inside_are_followed(tmp_path, durable=True)
    (tmp_path / "elsewhere").mkdir()
    await test_links_that_lead_out_are_refused(tmp_path / "elsewhere")


async def test_nothing_stays_open(tmp_path: Path) -> None:
    """Neither what works nor what is refused keeps a file or a directory open."""
    store = LocalStore(f"file://{tmp_path}")
    (tmp_path / "up").symlink_to(tmp_path.parent)
    await store.put(f"{store.prefix}/a/b", b"1")
    before = len(os.listdir("/dev/fd"))  # noqa: PTH208 - a plain look at one directory
    names = ("a/b", "a", "a/b/c", "none/x", "up/x", "n" * 300)
    for uri in (f"{store.prefix}/{name}" for name in names):
        for content in (b"1", b"1" * (local.INLINE_BYTES + 1)):
            for durable in (False, True):
                await asyncio.gather(store.put(uri, content, durable=durable), return_exceptions=True)
                await asyncio.gather(store.put(uri, content, if_absent=True, durable=durable), return_exceptions=True)
            await asyncio.gather(store.get(uri), store.get(uri, limit=0), store.head(uri), return_exceptions=True)
        await asyncio.gather(store.delete(uri), return_exceptions=True)
        with suppress(InvalidInputError), store.staged(uri) as file:
            file.write(b"half")
    assert len(os.listdir("/dev/fd")) == before  # noqa: PTH208 - as above


async def test_a_prefix_may_be_a_link(tmp_path: Path) -> None:
    """The directory of the store itself may be reached by a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    store = open_store(f"file://{tmp_path}/link")
    await store.put(f"{store.prefix}/a", b"1")
    assert (tmp_path / "real" / "a").read_bytes() == b"1"


async def test_an_abandoned_write_is_not_seen(tmp_path: Path) -> None:
    """What was staged and not committed is neither readable nor listed, and nothing of it stays."""
    store = LocalStore(f"file://{tmp_path}")
    with store.staged(f"{store.prefix}/a") as file:
        file.write(b"half")
        assert await store.head(f"{store.prefix}/a") is None
        assert [info.uri async for info in store.list(store.prefix)] == []
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - a plain look at one directory


async def test_names_that_clash_are_refused(tmp_path: Path) -> None:
    """An object below another object, or in place of a directory, is a clear refusal."""
    store = open_store(f"file://{tmp_path}")
    await store.put(f"{store.prefix}/a/b", b"1")
    for uri in (f"{store.prefix}/a", f"{store.prefix}/a/b/c", f"{store.prefix}/a/b/c/d"):
        with pytest.raises(InvalidInputError, match="share a name"):
            await store.put(uri, b"2")
    with pytest.raises(InvalidInputError, match="file system"):
        await store.put(f"{store.prefix}/{'x' * 300}", b"2")
    with pytest.raises(InvalidInputError, match="reserved"):
        await store.put(f"{store.prefix}/.flyteform-tmp-1", b"2")
    assert [info.uri async for info in store.list(store.prefix)] == [f"{store.prefix}/a/b"]


@pytest.mark.parametrize("names", [1, local.INLINE_NAMES, local.INLINE_NAMES + 1, 500])
async def test_small_and_large_folders_are_listed(tmp_path: Path, names: int) -> None:
    """However many names there are, in whichever folders, each object is listed once, in order and with its size."""
    store = LocalStore(f"file://{tmp_path}")
    uris = sorted(f"{store.prefix}/a/{number % 3}/{number}" for number in range(names))
    for number, uri in enumerate([*uris, f"{store.prefix}/b"]):
        await store.put(uri, b"x" * number, durable=False)
    (tmp_path / "a" / ".flyteform-tmp-1").write_bytes(b"half")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "b")
    assert [(info.uri, info.size) async for info in store.list(f"{store.prefix}/a/")] == [
        (uri, number) for number, uri in enumerate(uris)
    ]


@pytest.mark.parametrize("durable", [False, True])
async def test_what_cannot_be_published_leaves_nothing(tmp_path: Path, durable: bool) -> None:
    """A write that fails at its last step leaves no unfinished file beside the one that stays."""
    store = LocalStore(f"file://{tmp_path}")
    (tmp_path / "folder").mkdir()
    await store.put(f"{store.prefix}/taken", b"first", durable=durable)
    for size in (1, local.INLINE_BYTES + 1):
        with pytest.raises(AlreadyExistsError):
            await store.put(f"{store.prefix}/taken", b"x" * size, if_absent=True, durable=durable)
        with pytest.raises(InvalidInputError, match="share a name"):
            await store.put(f"{store.prefix}/folder", b"x" * size, durable=durable)
    assert sorted(os.listdir(tmp_path)) == ["folder", "taken"]  # noqa: PTH208 - a plain look at one directory
    assert await store.get(f"{store.prefix}/taken") == b"first"


def test_helpers_without_an_event_loop(tmp_path: Path) -> None:
    """A task's process reads and writes `file://` URIs without asyncio."""
    uri = f"file://{tmp_path}/deep/down/outputs.pb"
    with pytest.raises(NotFoundError, match=r"outputs\.pb"):
        read_bytes(uri)
    write_bytes(uri, b"content")
    assert read_bytes(uri) == b"content"
    for wrong in (f"file://{tmp_path}/../x", "s3://bucket/key", "relative", f"file://{tmp_path}/a\0"):
        with pytest.raises(InvalidInputError):
            write_bytes(wrong, b"")


def test_other_schemes_name_what_is_possible() -> None:
    """A prefix that no adapter serves is refused with the form that works."""
    with pytest.raises(InvalidInputError, match="ftp://host") as caught:
        open_store("ftp://host")
    assert all(form in str(caught.value.remedy) for form in ("file:///", "s3://"))


def test_import_is_light() -> None:
    """Neither asyncio nor grpc nor protobuf is loaded by what a task's process imports."""
    code = "import sys, flyteform.objects.local; print(*{'asyncio', 'grpc', 'google.protobuf'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == ""
