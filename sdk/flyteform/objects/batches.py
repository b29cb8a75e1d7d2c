"""Small files that are wanted at the same time, written together: one thread and few waits for the disk for all.

A file system makes what was done since the last wait durable as a whole, so one for each file is hardly more than one.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from flyteform.objects.files import TEMPORARY_PREFIX, make_directories, sync_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

# While some wait for the disk, others go on: it makes what several wait for durable at once.
_WRITERS = 4
_MOST = 4
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Write:
    """A file's whole content; with `if_absent` an existing one stays, and is an error."""

    target: Path
    data: bytes
    if_absent: bool = False
    durable: bool = True


@dataclass(slots=True)
class _Staged:
    """A file on its way: beside its target first, `descriptor` open until all is in it."""

    write: Write
    temporary: Path
    descriptor: int = -1
    error: Exception | None = None


def write_all(writes: Sequence[Write]) -> list[Exception | None]:
    """Write the files, atomically each, with their directories; return for each what went wrong with it."""
    files = [_Staged(one, one.target.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}") for one in writes]
    _each(files, _stage)
    _each(files, _finish)
    _each(files, _publish)
    # Their names have to be made durable; those of the directories themselves are since the files were (see `staged`).
    directories = {file.write.target.parent for file in files if file.write.durable and file.error is None}
    try:
        for directory in directories:
            sync_directory(directory)
    except OSError as error:
        return [file.error or error for file in files]
    return [file.error for file in files]


def _each(files: Sequence[_Staged], step: Callable[[_Staged], None]) -> None:
    """Take the step with every file that has had no trouble so far."""
    for file in files:
        if file.error is None:
            try:
                step(file)
            except (OSError, UnicodeEncodeError) as error:
                file.error = error
                _discard(file)


def _stage(file: _Staged) -> None:
    make_directories(file.write.target.parent)
    file.descriptor = os.open(file.temporary, _NEW, 0o666)
    rest = memoryview(file.write.data)
    while rest:
        rest = rest[os.write(file.descriptor, rest) :]


def _finish(file: _Staged) -> None:
    if file.write.durable:
        os.fsync(file.descriptor)
    descriptor, file.descriptor = file.descriptor, -1
    os.close(descriptor)


def _publish(file: _Staged) -> None:
    if file.write.if_absent:
        # A hard link, unlike a rename, fails when its name is taken.
        file.write.target.hardlink_to(file.temporary)
        file.temporary.unlink()
    else:
        file.temporary.replace(file.write.target)


def _discard(file: _Staged) -> None:
    if file.descriptor >= 0:
        os.close(file.descriptor)
    with suppress(OSError, UnicodeEncodeError):
        file.temporary.unlink()


@dataclass(slots=True)
class _Lane:
    """What waits in one event loop, and the tasks that write it."""

    waiting: list[tuple[Write, asyncio.Future[None]]] = field(default_factory=list)
    writers: set[asyncio.Task[None]] = field(default_factory=set)
    # How many of them will look at what waits once more: the set learns of an end a moment after it.
    looking: int = 0


class Batches:
    """Gathers files: what comes while others are being written is written next, all of it together."""

    def __init__(self) -> None:
        self._lanes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Lane] = WeakKeyDictionary()

    async def write(self, write: Write) -> None:
        """Return when the file is there, and durable if it shall be; raise what kept it from that."""
        loop = asyncio.get_running_loop()
        lane = self._lanes.setdefault(loop, _Lane())
        done: asyncio.Future[None] = loop.create_future()
        lane.waiting.append((write, done))
        if lane.looking < _WRITERS:
            lane.looking += 1
            writer = loop.create_task(_work(lane))
            lane.writers.add(writer)
            writer.add_done_callback(lane.writers.discard)
        await done


async def _work(lane: _Lane) -> None:
    try:
        while lane.waiting:
            batch, lane.waiting = lane.waiting[:_MOST], lane.waiting[_MOST:]
            try:
                errors = await asyncio.to_thread(write_all, [write for write, _ in batch])
            except BaseException:
                for _, done in batch:
                    done.cancel()
                raise
            _answer(batch, errors)
    finally:
        lane.looking -= 1


def _answer(batch: Sequence[tuple[Write, asyncio.Future[None]]], errors: Sequence[Exception | None]) -> None:
    for (_, done), error in zip(batch, errors, strict=True):
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
