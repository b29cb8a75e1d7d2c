"""Working folders are used again only if an attempt has left nothing in them and nobody who could."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flyteform_dataplane.process.rooms import Rooms
from support.attempts import until

if TYPE_CHECKING:
    from pathlib import Path

    from support.attempts import Bench

WHERE = (
    "import os, tempfile; print(os.getcwd(), tempfile.gettempdir(), os.listdir(), os.listdir(tempfile.gettempdir()))"
)


@pytest.fixture
def rooms(tmp_path: Path) -> Rooms:
    """Return rooms in a folder that is not there yet."""
    return Rooms(tmp_path / "work")


def test_a_clean_room_is_used_again(rooms: Rooms) -> None:
    """Nothing is made for the next one."""
    room = rooms.take()
    assert rooms.leave(room)
    assert rooms.take() == room
    assert rooms.take() != room


@pytest.mark.parametrize("name", ["cwd", "tmp"])
def test_what_was_left_or_changed_makes_a_room_useless(rooms: Rooms, name: str) -> None:
    """A file in either folder, a folder that is gone or closed, or a link in its place."""
    room = rooms.take()
    (room / name / "left").touch()
    assert not rooms.leave(room)
    (room / name / "left").unlink()
    (room / name).chmod(0o500)
    assert not rooms.leave(room)
    (room / name).rmdir()
    assert not rooms.leave(room)
    (room / name).symlink_to("/")
    assert not rooms.leave(room)
    assert rooms.take() != room


def test_no_room_of_an_earlier_run_is_used(rooms: Rooms, tmp_path: Path) -> None:
    """All that is there is removed first."""
    (rooms.take() / "cwd" / "old").touch()
    again = Rooms(tmp_path / "work")
    again.clear()
    assert list((again.take() / "cwd").iterdir()) == []


async def test_attempts_work_in_empty_folders(bench: Bench) -> None:
    """One that writes nothing may hand its folder on; after one that does the next sees nothing of it."""
    quiet = [await bench.warm(WHERE).start() for _ in range(3)]
    for run in quiet:
        await run.end()
    spoiler = await bench.warm(f"{WHERE}; open('x', 'w').close(); tempfile.mkdtemp()").start()
    await spoiler.end()
    after = [await bench.warm(WHERE).start() for _ in range(4)]
    for run in after:
        await run.end()
    assert all(run.log.endswith("[] []\n") for run in (*quiet, spoiler, *after))
    assert not any(run.log.split()[0] == spoiler.log.split()[0] for run in after)


async def test_a_folder_with_somebody_in_it_is_not_handed_on(bench: Bench, tmp_path: Path) -> None:
    """A process that has left its attempt's session may write there until it is found."""
    gone = tmp_path / "gone"
    stray = (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork():\n        os._exit(0)\n"
        f"    time.sleep(0.5)\n    open('late', 'w').close()\n    open({str(gone)!r}, 'w').close()\n"
        "    time.sleep(600)\n"
        "os.wait()"
    )
    first = await bench.warm(f"{WHERE}\n{stray}").start()
    keeper = await bench.warm("import time; time.sleep(600)").start()  # so that it is not looked for at once
    await first.end()
    await keeper.running()
    second = await bench.warm(WHERE).start()
    await second.end()
    assert second.log.split()[0] != first.log.split()[0]
    await until(lambda: gone.exists() or not (tmp_path / "state" / "work" / "0").exists())
