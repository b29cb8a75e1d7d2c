"""Files that are written together: all of them, each for itself, and nothing of those that cannot be."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from flyteform.errors import AlreadyExistsError, InvalidInputError
from flyteform.objects.local import LocalStore

if TYPE_CHECKING:
    from pathlib import Path


async def put_at_once(store: LocalStore, contents: list[tuple[str, bytes]], *, if_absent: bool = False) -> list[str]:
    """Put all of them in one turn of the event loop; return what went wrong with each, by the name of its error."""
    puts = (store.put(f"{store.prefix}/{name}", content, if_absent=if_absent) for name, content in contents)
    outcomes = await asyncio.gather(*puts, return_exceptions=True)
    return [type(outcome).__name__ if outcome is not None else "" for outcome in outcomes]


def files_below(folder: Path) -> dict[str, bytes]:
    """Read all there are."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_each_file_answers_for_itself(tmp_path: Path) -> None:
    """One that exists and one below a file are refused; the others are whole, and no unfinished one is left."""
    (tmp_path / "taken").write_bytes(b"first")
    contents = [
        ("new/deep/b", b""),
        ("new/deep/b", b"too late"),
        ("new/deep/a", b"a" * 50_000),
        ("taken", b"second"),
        ("taken/below", b"never"),
        ("n" * 300, b"never"),
        ("n" * 300 + "/below", b"never"),
        ("up/../wrong", b"never"),
    ]
    assert await put_at_once(LocalStore(f"file://{tmp_path}"), contents, if_absent=True) == [
        "",
        "AlreadyExistsError",
        "",
        "AlreadyExistsError",
        "InvalidInputError",
        "InvalidInputError",
        "InvalidInputError",
        "InvalidInputError",
    ]
    assert files_below(tmp_path) == {"taken": b"first", "new/deep/a": b"a" * 50_000, "new/deep/b": b""}


async def test_what_replaces_is_the_last_one(tmp_path: Path) -> None:
    """Of two that replace the same file, the later one stays."""
    assert await put_at_once(LocalStore(f"file://{tmp_path}"), [("a", b"1"), ("a", b"2")]) == ["", ""]
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


def test_the_end_of_an_event_loop(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is still on its way when the event loop ends is whole or away, and nothing is said of it in the log."""
    store = LocalStore(f"file://{tmp_path}")

    async def give_up() -> None:
        puts = [asyncio.create_task(store.put(f"{store.prefix}/o{number}", b"secret")) for number in range(300)]
        await asyncio.wait(puts, return_when=asyncio.FIRST_COMPLETED)

    asyncio.run(give_up())
    found = files_below(tmp_path)
    assert 0 < len(found) < 300
    assert {name[0] for name in found} == {"o"}
    assert set(found.values()) == {b"secret"}
    assert caplog.text == ""


def test_too_late_for_an_event_loop(tmp_path: Path) -> None:
    """A put after the loop has given up its threads is refused, neither lost without a word nor waited for in vain."""
    store = LocalStore(f"file://{tmp_path}")

    async def put() -> None:
        await asyncio.get_running_loop().shutdown_default_executor()
        await store.put(f"{store.prefix}/a", b"never")

    with pytest.raises(RuntimeError, match="shutdown"):
        asyncio.run(put())
    assert files_below(tmp_path) == {}
