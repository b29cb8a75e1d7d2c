"""Durable, atomic files: the blocking primitives below the local object store. Paths are absolute, and trusted here."""

# ruff: noqa: PTH102, PTH105, PTH108, PTH123 - a Path costs more than the system call that it makes
from __future__ import annotations

import hashlib
import math
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Unfinished writes lie beside their target, as a rename is atomic within one file system only.
TEMPORARY_PREFIX = ".flyteform-tmp-"
CHUNK_BYTES = 1024 * 1024
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


class StagedFile:
    """A file being written beside its target; nobody sees it before `commit`."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._digest = hashlib.md5(usedforsecurity=False)
        self._temporary, descriptor = begin(target)
        self._file = os.fdopen(descriptor, "wb")
        self.size = 0

    @property
    def md5(self) -> bytes:
        """MD5 of what has been written so far, 16 raw bytes."""
        return self._digest.digest()

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    def commit(self) -> None:
        """Make the content durable and visible at once."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        publish(self._temporary, self._target)
        sync_directory(parent(self._target))

    def discard(self) -> None:
        """Forget what was written; nothing to do after a commit."""
        self._file.close()
        with suppress(FileNotFoundError):
            os.unlink(self._temporary)


@contextmanager
def staged(target: str) -> Iterator[StagedFile]:
    """Open a staged file for `target`, creating its directories; discarded unless it was committed.

    The directories become durable with the file: a journal keeps the order of what was done, so whoever waits for a
    file waits for the directories that were made before it.
    """
    file = StagedFile(target)
    try:
        yield file
    finally:
        file.discard()


def write(target: str, data: bytes, *, if_absent: bool = False, durable: bool = True) -> None:
    """Replace the content of `target` atomically and, unless told otherwise, durably; create its directories.

    `FileExistsError` with `if_absent` if there is a target.
    """
    temporary, descriptor = begin(target)
    try:
        try:
            write_out(descriptor, data)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        publish(temporary, target, if_absent=if_absent)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        sync_directory(parent(target))


def copy(source: Path, target: str) -> None:
    """Replace the content of `target` by that of another file, atomically and durably, in pieces."""
    with source.open("rb") as read, staged(target) as file:
        while piece := read.read(CHUNK_BYTES):
            file.write(piece)
        file.commit()


def begin(target: str) -> tuple[str, int]:
    """Make an empty file beside `target`, creating the directories; return its path and its open descriptor."""
    directory = parent(target)
    temporary = f"{directory}/{TEMPORARY_PREFIX}{os.urandom(8).hex()}"
    try:
        return temporary, os.open(temporary, _NEW, 0o666)
    except FileNotFoundError:
        # Rare enough that to ask first would cost more: most directories are there.
        make_directories(directory)
        return temporary, os.open(temporary, _NEW, 0o666)


def write_out(descriptor: int, data: bytes) -> None:
    """Write all of the data."""
    written = os.write(descriptor, data)
    if written < len(data):
        rest = memoryview(data)[written:]
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def publish(temporary: str, target: str, *, if_absent: bool = False) -> None:
    """Give a finished file its name; `FileExistsError` with `if_absent` if that is taken."""
    if if_absent:
        # A hard link, unlike a rename, fails when its name is taken.
        os.link(temporary, target)
        os.unlink(temporary)
    else:
        os.replace(temporary, target)


def read(path: str) -> bytes:
    """Return the content of a file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return read_all(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def read_all(descriptor: int, size: int) -> bytes:
    """Return the content of an open file that has, as far as is known, this size."""
    content = os.read(descriptor, size + 1)
    if len(content) == size:
        return content
    pieces = [content]
    while pieces[-1]:
        pieces.append(os.read(descriptor, CHUNK_BYTES))
    return b"".join(pieces)


def md5_of(path: str | Path) -> bytes:
    """MD5 of a file's content, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()


def parent(path: str) -> str:
    """Return the directory that a path is in."""
    return path.rpartition("/")[0] or "/"


def make_directories(directory: str) -> None:
    """Create the directory and its parents; another may do so at the same time."""
    try:
        os.mkdir(directory)
    except FileNotFoundError:
        make_directories(parent(directory))
        with suppress(FileExistsError):
            os.mkdir(directory)
    except FileExistsError:
        return


def sync_directory(directory: str) -> None:
    """Make the names in the directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class ManyNamesError(Exception):
    """To walk there takes a look at more names than were allowed."""


def walk(root: str, prefix: str = "", *, most: float = math.inf) -> list[tuple[str, int]]:
    """Return (path below `root`, size) of every regular file whose path starts with `prefix`, in order of the path.

    `ManyNamesError` if that takes a look at more than `most` names. Symbolic links and unfinished writes are left out;
    what vanishes meanwhile is too.
    """
    found: list[tuple[str, int]] = []
    folders, seen = [prefix[: prefix.rfind("/") + 1]], 0
    while folders:
        folder = folders.pop()
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(f"{root}/{folder}") as entries:
            for entry in entries:
                seen += 1
                if seen > most:
                    raise ManyNamesError
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{folder}{entry.name}/")
                elif (folder + entry.name).startswith(prefix) and _is_whole(entry):
                    with suppress(FileNotFoundError):
                        found.append((folder + entry.name, entry.stat(follow_symlinks=False).st_size))
    found.sort()
    return found


def _is_whole(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False) and not entry.name.startswith(TEMPORARY_PREFIX)
