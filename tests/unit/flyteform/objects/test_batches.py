"""Files that are written together: all of them, each for itself, and nothing of those that cannot be."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from flyteform.errors import AlreadyExistsError, InvalidInputError
from flyteform.objects.batches import Write, settle, stage
from flyteform.objects.local import LocalStore

if TYPE_CHECKING:
    from pathlib import Path


def write_all(*writes: Write) -> list[Exception | None]:
    """Take both steps with the files; return what went wrong with each."""
    stage(writes)
    settle(writes)
    return [write.error for write in writes]


def test_each_file_answers_for_itself(tmp_path: Path) -> None:
    """One that exists and one below a file are refused; the others are whole, and no unfinished one is left."""
    (tmp_path / "taken").write_bytes(b"first")
    errors = write_all(
        Write(f"{tmp_path}/new/deep/a", b"a" * 50_000),
        Write(f"{tmp_path}/taken", b"second", if_absent=True),
        Write(f"{tmp_path}/taken/below", b"never"),
        Write(f"{tmp_path}/new/deep/b", b"", if_absent=True),
        Write(f"{tmp_path}/new/deep/b", b"too late", if_absent=True),
        Write(f"{tmp_path}/{'n' * 300}", b"never"),
    )
    assert [type(error) for error in errors[:2]] == [type(None), FileExistsError]
    assert isinstance(errors[2], NotADirectoryError)
    assert errors[3] is None
    assert isinstance(errors[4], FileExistsError)
    assert isinstance(errors[5], OSError)
    found = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"taken": b"first", "new/deep/a": b"a" * 50_000, "new/deep/b": b""}


def test_what_replaces_is_the_last_one(tmp_path: Path) -> None:
    """Of two that replace the same file, the later one stays."""
    assert write_all(Write(f"{tmp_path}/a", b"1"), Write(f"{tmp_path}/a", b"2")) == [None, None]
    assert (tmp_path / "a").read_bytes() == b"2"


async def test_many_callers_at_once(tmp_path: Path) -> None:
    """Each of many puts at once is there when its caller goes on, and each refusal reaches the one whose it is."""
    store = LocalStore(f"file://{tmp_path}")

    async def put(number: int) -> bool:
        uri = f"{store.prefix}/d{number % 7}/o{number % 50}"
        try:
            await store.put(uri, str(number).encode(), if_absent=True)
        except AlreadyExistsError:
            return False
        return await store.get(uri) == str(number).encode()

    outcomes = await asyncio.gather(*(put(number) for number in range(400)))
    assert sum(outcomes) == len({(number % 7, number % 50) for number in range(400)})
    with pytest.raises(InvalidInputError, match="share a name"):
        await store.put(f"{store.prefix}/d0/o0/below", b"")


async def test_who_gives_up_waiting_disturbs_nobody(tmp_path: Path) -> None:
    """A call that is cancelled while its file is written leaves it whole or away, and the others are written."""
    store = LocalStore(f"file://{tmp_path}")
    puts = [asyncio.create_task(store.put(f"{store.prefix}/o{number}", b"x")) for number in range(40)]
    await asyncio.sleep(0)
    for put in puts[::2]:
        put.cancel()
    assert all(not isinstance(one, Exception) for one in await asyncio.gather(*puts[1::2], return_exceptions=True))
    assert all([await store.get(f"{store.prefix}/o{number}") == b"x" for number in range(1, 40, 2)])


def test_a_store_outlives_an_event_loop(tmp_path: Path) -> None:
    """The same store writes in one event loop after the other, as short commands do."""
    store = LocalStore(f"file://{tmp_path}")
    for number in range(3):
        asyncio.run(store.put(f"{store.prefix}/o{number}", b"x"))
    assert len(list(tmp_path.iterdir())) == 3
