"""Small files that are wanted at the same time, written together: one thread and few waits for the disk for all.

A file system makes what was done since the last wait durable as a whole, so one for each file is hardly more than one.
"""

# ruff: noqa: PTH108 - a Path costs more than the system call that it makes
from __future__ import annotations

import asyncio
import os
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from flyteform.objects.files import begin, parent, publish, sync_directory, write_out

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# While some wait for the disk, others go on: it makes what several wait for durable at once.
_WRITERS = 4
_MOST = 4


@dataclass(slots=True)
class Write:
    """A file's whole content; with `if_absent` an existing one stays, and is an error.

    It lies beside its target first, with `descriptor` open until all is in it.
    """

    target: str
    data: bytes
    if_absent: bool = False
    temporary: str = ""
    descriptor: int = -1
    error: Exception | None = None


def stage(writes: Sequence[Write]) -> None:
    """Write the contents beside their targets: no wait for the disk, so no work for a thread."""
    _each(writes, _stage)


def settle(writes: Sequence[Write]) -> None:
    """Make what was staged durable, and visible."""
    _each(writes, _finish)
    _each(writes, _publish)
    # Their names have to be made durable; those of the directories themselves are since the files were (see `staged`).
    directories = {parent(write.target) for write in writes if write.error is None}
    try:
        for directory in directories:
            sync_directory(directory)
    except OSError as error:
        for write in writes:
            write.error = write.error or error


def discard(writes: Sequence[Write]) -> None:
    """Forget what was staged."""
    for write in writes:
        _discard(write)


def _each(writes: Sequence[Write], step: Callable[[Write], None]) -> None:
    """Take the step with every file that has had no trouble so far."""
    for write in writes:
        if write.error is None:
            try:
                step(write)
            except (OSError, UnicodeEncodeError) as error:
                write.error = error
                _discard(write)


def _stage(write: Write) -> None:
    write.temporary, write.descriptor = begin(write.target)
    write_out(write.descriptor, write.data)


def _finish(write: Write) -> None:
    os.fsync(write.descriptor)
    descriptor, write.descriptor = write.descriptor, -1
    os.close(descriptor)


def _publish(write: Write) -> None:
    publish(write.temporary, write.target, if_absent=write.if_absent)


def _discard(write: Write) -> None:
    if write.descriptor >= 0:
        os.close(write.descriptor)
    if write.temporary:
        with suppress(OSError):
            os.unlink(write.temporary)


@dataclass(slots=True)
class _Lane:
    """What waits in one event loop, and how many threads write for it."""

    loop: asyncio.AbstractEventLoop
    waiting: deque[tuple[Write, asyncio.Future[None]]] = field(default_factory=deque)
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
        while self.waiting and self.writers < _WRITERS:
            batch = [self.waiting.popleft() for _ in range(min(_MOST, len(self.waiting)))]
            writes = [write for write, _ in batch]
            try:
                stage(writes)
                settled = self.loop.run_in_executor(None, settle, writes)
            except BaseException:
                # The loop is at its end, and has no threads any more.
                discard(writes)
                for _, done in batch:
                    done.cancel()
                raise
            self.writers += 1
            settled.add_done_callback(partial(self._end, batch))

    def _end(self, batch: Sequence[tuple[Write, asyncio.Future[None]]], settled: asyncio.Future[None]) -> None:
        self.writers -= 1
        unforeseen = settled.exception()
        for write, done in batch:
            error = write.error or unforeseen
            if done.done():
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
        self._start()


class Batches:
    """Gathers files: what comes while others are being written is written next, all of it together."""

    def __init__(self) -> None:
        self._lane: _Lane | None = None

    async def write(self, target: str, data: bytes, *, if_absent: bool = False) -> None:
        """Return when the file is there, and durable; raise what kept it from that."""
        loop, lane = asyncio.get_running_loop(), self._lane
        if lane is None or lane.loop is not loop:
            lane = self._lane = _Lane(loop)
        await lane.add(Write(target, data, if_absent))
