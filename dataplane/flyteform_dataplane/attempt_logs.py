"""What attempts print, kept in a file for each."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from typing import TYPE_CHECKING, BinaryIO

from flyteform.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from flyteform.proto.flyteform.v1.link_pb2 import TailLogs

_PAUSE = 0.3  # seconds between two looks at whether more was written
_CHUNK = 64 * 1024
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_OF_EXECUTION = 3  # project, domain, name


def attempt_of(question: TailLogs) -> str:
    """Return the name of the attempt that a question is about."""
    execution = question.execution
    item = [str(question.item)] if question.HasField("item") else []
    parts = (execution.project, execution.domain, execution.name, question.node_id, *item, str(question.retry_attempt))
    return "/".join(parts)


def log_path(folder: Path, name: str) -> Path:
    """Return where the attempt's output is kept: in a folder for each execution, the first three parts of its name."""
    parts = [_UNSAFE.sub("_", part).lstrip(".") or "_" for part in name.split("/")]
    folders = min(_OF_EXECUTION, len(parts) - 1)
    # The tilde is in none of the parts, so no two attempts meet. One folder for all: to make folders is dear.
    return folder.joinpath(*parts[:folders], "~".join(parts[folders:]) + ".log")


def begin_log(log: Path) -> None:
    """Make the file: whoever is told that the attempt runs may look at once. Raises OSError if it can't be made."""
    try:
        log.touch()
    except FileNotFoundError:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()


def write_note(log: Path, text: str) -> None:
    """Add a line of the platform's own to an attempt's log."""
    write_line(log, f"[flyteform] {text}")


def write_line(log: Path, text: str) -> None:
    """Add a line to an attempt's log; a log that cannot be written stops nothing."""
    with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")


class FileLogs:
    """The logs of attempts in files. `runs` says by an attempt's name whether it may still write."""

    def __init__(self, folder: Path, runs: Callable[[str], bool], *, pause: float = _PAUSE) -> None:
        self._folder = folder
        self._runs = runs
        self._pause = pause

    async def tail(self, question: TailLogs) -> AsyncIterator[list[str]]:
        """Yield lines in batches; `NotFoundError` for an attempt that has none here.

        With `follow` it goes on until the attempt has ended.
        """
        name = attempt_of(question)
        path = log_path(self._folder, name)
        while not path.exists():
            if not (question.follow and self._runs(name)):
                raise NotFoundError(f"attempt {name} has no log here")
            await asyncio.sleep(self._pause)
        with path.open("rb") as file:
            _seek_last_lines(file, question.lines)
            lines = Lines()
            while True:
                # Asked before the read: what was written before the end is read after it.
                more = question.follow and self._runs(name)
                while chunk := file.read(_CHUNK):
                    yield lines.take(chunk)
                if not more:
                    break
                await asyncio.sleep(self._pause)
        yield lines.end()


def _seek_last_lines(file: BinaryIO, lines: int) -> None:
    """Go to where the last lines begin; zero is all of them."""
    if not lines:
        return
    start = file.seek(0, os.SEEK_END)
    if start:
        file.seek(start - 1)
        # The break at the end of the file belongs to the line before it.
        lines += file.read(1) == b"\n"
    while start:
        end, start = start, max(0, start - _CHUNK)
        file.seek(start)
        breaks = [found.start() for found in re.finditer(b"\n", file.read(end - start))][-lines:]
        if len(breaks) == lines:
            file.seek(start + breaks[0] + 1)
            return
        lines -= len(breaks)
    file.seek(0)


class Lines:
    """Makes whole lines of a log that comes in pieces; a very long one is told in parts."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, piece: bytes) -> list[str]:
        """Return the lines that are whole with this piece."""
        *whole, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > _CHUNK:
            whole, self._rest = [*whole, self._rest], b""
        return [line.decode(errors="replace") for line in whole]

    def end(self) -> list[str]:
        """Return what is left when nothing more comes."""
        rest, self._rest = self._rest, b""
        return [rest.decode(errors="replace")] if rest else []
