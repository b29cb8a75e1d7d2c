"""Small files that are wanted at the same time, written together: one thread and few waits for the disk for all.

A file system makes what was done since the last wait durable as a whole, so one for each file is hardly more than one.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from flyteform.errors import FlyteformError
from flyteform.objects.files import begin, publish, settle, write_out

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    # Opens the directory of an object, which is made if need be: its descriptor, and the object's name there.
    Opening = Callable[[str], tuple[int, str]]

# While one waits for the disk, another goes on: it makes what both wait for durable at once. More of them would be in
# each other's way, and in that of the event loop.
_WRITERS = 2
_MOST = 8


@dataclass(slots=True)
class Write:
    """An object's whole content; with `if_absent` an existing one stays, and is an error.

    On its way it lies beside its target, both open: a thread that opens and closes disturbs the event loop each time.
    """

    uri: str
    data: bytes = field(repr=False)  # nothing for a log
    if_absent: bool
    name: str = ""
    folder: int = -1
    temporary: str = ""
    descriptor: int = -1
    error: BaseException | None = None

    def close(self) -> None:
        """Close what is open."""
        for descriptor in (self.descriptor, self.folder):
            if descriptor >= 0:
                os.close(descriptor)
        self.descriptor = self.folder = -1

    def discard(self) -> None:
        """Forget what was written."""
        if self.temporary:
            with suppress(OSError):
                os.unlink(self.temporary, dir_fd=self.folder)
        self.close()


def _stage(writes: Sequence[Write], opening: Opening) -> None:
    """Write the contents beside their targets: no wait for the disk, so no work for a thread."""
    _each(writes, partial(_begin, opening))


def _settle(writes: Sequence[Write]) -> None:
    """Make what was staged durable, and visible."""
    _each(writes, _finish)
    _each(writes, _publish)
    # Their names have to be made durable; those of the directories themselves are since the files were (see `staged`).
    folders = {write.uri.rpartition("/")[0]: write.folder for write in writes if write.error is None}
    try:
        for folder in folders.values():
            os.fsync(folder)
    except OSError as error:
        for write in writes:
            write.error = write.error or error


def _each(writes: Sequence[Write], step: Callable[[Write], None]) -> None:
    """Take the step with every file that has had no trouble so far."""
    for write in writes:
        if write.error is None:
            try:
                step(write)
            except (OSError, UnicodeEncodeError, FlyteformError) as error:
                write.error = error
                write.discard()


def _begin(opening: Opening, write: Write) -> None:
    write.folder, write.name = opening(write.uri)
    write.temporary, write.descriptor = begin(write.folder)
    write_out(write.descriptor, write.data)


def _finish(write: Write) -> None:
    settle(write.descriptor, write.data)


def _publish(write: Write) -> None:
    publish(write.folder, write.temporary, write.name, if_absent=write.if_absent)


@dataclass(slots=True)
class _Lane:
    """What waits in one event loop, and how many threads write for it."""

    loop: asyncio.AbstractEventLoop
    opening: Opening
    waiting: deque[tuple[Write, asyncio.Future[None]]] = field(default_factory=deque, repr=False)
    writers: int = 0
    called: bool = False

    def add(self, write: Write) -> asyncio.Future[None]:
        done: asyncio.Future[None] = self.loop.create_future()
        self.waiting.append((write, done))
        if not self.called and self.writers < _WRITERS:
            # Not at once: what is put in the same turn of the loop goes together.
            self.called = True
            self.loop.call_soon(self._start)
        return done

    def _start(self) -> None:
        self.called = False
        while self.writers < _WRITERS and (batch := self._next()):
            writes = [write for write, _ in batch]
            try:
                _stage(writes, self.opening)
                settled = self.loop.run_in_executor(None, _settle, writes)
            except Exception as error:  # noqa: BLE001 - whoever waits for it is told, such as that the loop has ended
                for write in writes:
                    write.discard()
                _answer(batch, error)
            else:
                self.writers += 1
                settled.add_done_callback(partial(self._end, batch))

    def _next(self) -> list[tuple[Write, asyncio.Future[None]]]:
        """Take those that are next, without those that nobody waits for any more."""
        batch: list[tuple[Write, asyncio.Future[None]]] = []
        while self.waiting and len(batch) < _MOST:
            write, done = self.waiting.popleft()
            if not done.done():
                batch.append((write, done))
        return batch

    def _end(self, batch: Sequence[tuple[Write, asyncio.Future[None]]], settled: asyncio.Future[None]) -> None:
        self.writers -= 1
        for write, _ in batch:
            write.close()
        _answer(batch, settled.exception())
        self._start()


def _answer(batch: Sequence[tuple[Write, asyncio.Future[None]]], unforeseen: BaseException | None) -> None:
    for write, done in batch:
        error = write.error or unforeseen
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


class Batches:
    """Gathers files: what comes while others are being written is written next, all of it together."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._lane: _Lane | None = None

    async def write(self, uri: str, data: bytes, *, if_absent: bool = False) -> None:
        """Return when the file is there, and durable; raise what kept it from that."""
        loop, lane = asyncio.get_running_loop(), self._lane
        if lane is None or lane.loop is not loop:
            lane = self._lane = _Lane(loop, self._opening)
        await lane.add(Write(uri, data, if_absent))
