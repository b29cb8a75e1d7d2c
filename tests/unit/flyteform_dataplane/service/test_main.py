"""The process of an embedded data plane: how it starts, what it refuses and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flyteform_dataplane.settings import parse
from support.attempts import DEADLINE, alive, until

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Awaitable, Callable

    Start = Callable[..., Awaitable[Process]]


def arguments(state: Path, *more: str) -> list[str]:
    """Return a command line; nobody listens at that control plane, which a data plane has to bear."""
    objects = f"--objects=file://{state}/objects"
    return [f"--state-dir={state}", "--control-plane=127.0.0.1:1", objects, *more]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Return what starts a data plane, and end what was started."""
    processes: list[Process] = []

    async def begin(*more: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "flyteform_dataplane",
            *arguments(tmp_path, *more),
            stderr=asyncio.subprocess.PIPE,
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


def owned_by(state: Path) -> list[int]:
    """Return the processes that work for the data plane of this directory."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and f"FLYTEFORM_OWNER={state}:".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return [pid for pid in found if alive(pid)]


async def said(process: Process, text: bytes) -> None:
    """Wait until the process has written the text to its log."""
    assert process.stderr is not None
    async with asyncio.timeout(DEADLINE):
        while text not in await process.stderr.readline():
            pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_and_everything_it_started(start: Start, tmp_path: Path, number: int) -> None:
    """It is gone within 3 s with exit code 0, and no process of it is left."""
    process = await start()
    await until(lambda: bool(owned_by(tmp_path)))
    began = time.monotonic()
    process.send_signal(number)
    assert await process.wait() == 0
    assert time.monotonic() - began < 3
    assert owned_by(tmp_path) == []


async def test_a_killed_one_leaves_nothing_and_can_start_again(start: Start, tmp_path: Path) -> None:
    """Its templates end with it, and a successor takes the directory over."""
    process = await start()
    await until(lambda: bool(owned_by(tmp_path)))
    process.kill()
    await process.wait()
    await until(lambda: owned_by(tmp_path) == [])
    successor = await start()
    await until(lambda: bool(owned_by(tmp_path)))
    successor.terminate()
    assert await successor.wait() == 0


async def test_two_in_one_directory_are_refused(start: Start, tmp_path: Path) -> None:
    """The second says why it can't start, and the first goes on."""
    first = await start()
    await said(first, b"link to the control plane is down")
    second = await start()
    _, error = await second.communicate()
    assert second.returncode == 1
    assert f"another data plane works in {tmp_path}".encode() in error
    assert b"Traceback" not in error
    assert first.returncode is None


async def test_a_wrong_image_is_refused_in_one_sentence(start: Start) -> None:
    """A rule that names no interpreter ends it with what is wrong and what to do."""
    process = await start("--image=x=/no/such/python")
    _, error = await process.communicate()
    assert process.returncode == 1
    assert b"Error: --image 'x=/no/such/python': there is no Python interpreter" in error
    assert b"Traceback" not in error


async def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    """When the platform is killed, its data plane ends by itself."""
    program = (
        f"import subprocess, sys; process = subprocess.Popen([sys.executable, '-m', 'flyteform_dataplane', "
        f"*{arguments(tmp_path)!r}, '--parent=' + str(__import__('os').getpid())]); "
        "print(process.pid, flush=True); process.wait()"
    )
    platform = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert platform.stdout is not None
    pid = int(await platform.stdout.readline())
    await until(lambda: bool(owned_by(tmp_path)))
    platform.kill()
    await platform.wait()
    await until(lambda: not alive(pid))
    await until(lambda: owned_by(tmp_path) == [])


async def test_one_whose_parent_is_gone_already_does_not_begin(start: Start, tmp_path: Path) -> None:
    """A process that has another parent than it was told ends at once."""
    process = await start(f"--parent={os.getppid()}")
    assert await process.wait() == 0
    assert not (tmp_path / "dataplane.lock").exists()


def test_the_command_line_is_read(tmp_path: Path) -> None:
    """Every flag has its place, and what is left out its default."""
    settings = parse(arguments(tmp_path, f"--image=a*={sys.executable}", "--cluster=north", "--max-attempts=3"))
    assert (settings.state_dir, settings.control_plane, settings.cluster) == (tmp_path, "127.0.0.1:1", "north")
    assert (settings.images[0].pattern, settings.max_attempts, settings.parent) == ("a*", 3, None)


@pytest.mark.parametrize("wrong", ["--max-attempts=0", "--max-attempts=x", "--unknown"])
def test_a_wrong_flag_is_a_usage_error(tmp_path: Path, wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the flag."""
    with pytest.raises(SystemExit):
        parse(arguments(tmp_path, wrong))
    assert wrong.partition("=")[0] in capsys.readouterr().err
