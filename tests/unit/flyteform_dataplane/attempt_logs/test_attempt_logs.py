"""How the logs of attempts are read from files."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier
from hypothesis import given
from hypothesis import strategies as st

from flyteform.errors import NotFoundError
from flyteform.proto.flyteform.v1.link_pb2 import TailLogs
from flyteform_dataplane.attempt_logs import FileLogs, Lines, log_path

if TYPE_CHECKING:
    from pathlib import Path

NAME = "flytesnacks/development/f1/n0/0"
EXECUTION = WorkflowExecutionIdentifier(project="flytesnacks", domain="development", name="f1")


def write(folder: Path, content: bytes) -> None:
    """Add to the attempt's log."""
    path = log_path(folder, NAME)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(content)


async def read(logs: FileLogs, lines: int = 0, *, follow: bool = False) -> list[str]:
    """Return what is told."""
    question = TailLogs(execution=EXECUTION, node_id="n0", lines=lines, follow=follow)
    return [line async for told in logs.tail(question) for line in told]


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("size", [1, 7, 30_000])
async def test_the_last_lines(tmp_path: Path, end: str, size: int) -> None:
    """So many as are asked for, however long they are and whether the last one has ended or not."""
    lines = [f"{number}{'x' * size}" for number in range(10)]
    write(tmp_path, ("\n".join(lines) + end).encode())
    logs = FileLogs(tmp_path, lambda _: False)
    for count in (1, 2, 9, 10, 11):
        assert await read(logs, count) == lines[-count:]
    assert await read(logs) == lines


async def test_an_attempt_without_a_log(tmp_path: Path) -> None:
    """There is nothing to tell, also for one who would wait for an attempt that does not run."""
    logs = FileLogs(tmp_path, lambda _: False)
    for follow in (False, True):
        with pytest.raises(NotFoundError, match="f1/n0/0 has no log here"):
            await read(logs, follow=follow)


async def test_who_follows_sees_what_comes(tmp_path: Path) -> None:
    """From before the first line until after the last one."""
    runs = True
    logs = FileLogs(tmp_path, lambda name: runs and name == NAME, pause=0.001)
    question = TailLogs(execution=EXECUTION, node_id="n0", follow=True)
    seen: list[str] = []
    ended = asyncio.Event()

    async def follow() -> None:
        async for lines in logs.tail(question):
            seen.extend(lines)
        ended.set()

    following = asyncio.create_task(follow())
    async with asyncio.timeout(60):
        for number in range(3):
            write(tmp_path, f"{number}\nha".encode())
            while len(seen) <= number:  # noqa: ASYNC110 - files set no asyncio.Event
                await asyncio.sleep(0.001)
        runs = False
        write(tmp_path, b"lf\nlast")
        await ended.wait()
    await following
    assert seen == ["0", "ha1", "ha2", "half", "last"]


@given(st.lists(st.binary(max_size=20)))
def test_pieces_make_the_same_lines(pieces: list[bytes]) -> None:
    """However a log is cut, its lines are the same."""
    lines = Lines()
    told = [line for piece in pieces for line in lines.take(piece)] + lines.end()
    whole = b"".join(pieces).split(b"\n")
    expected = [line.decode(errors="replace") for line in whole]
    assert told == (expected if expected[-1] else expected[:-1])
