"""Durable, atomic files: the blocking primitives below the local object store. Paths are absolute, and trusted here.

What is written is named by its open directory and its name there: whoever puts a link in that directory's place
meanwhile leads nothing astray, and the system need not walk down the path for each step.
"""

# ruff: noqa: PTH102, PTH123 - a Path costs more than the system call that it makes
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
_READABLE = os.O_RDONLY | os.O_DIRECTORY
# Where the system has it, what lies in a directory can be used without the right to list it.
_REACHABLE = os.O_DIRECTORY | getattr(os, "O_PATH", os.O_RDONLY)


class StagedFile:
    """A file being written beside its target, `name` in an open directory; nobody sees it before `commit`."""

    def __init__(self, folder: int, name: str) -> None:
        self._folder, self._name = folder, name
        self._digest = hashlib.md5(usedforsecurity=False)
        self._temporary, descriptor = begin(folder)
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
        publish(self._folder, self._temporary, self._name)
        os.fsync(self._folder)

    def discard(self) -> None:
        """Forget what was written; nothing to do after a commit."""
        self._file.close()
        with suppress(FileNotFoundError):
            os.unlink(self._temporary, dir_fd=self._folder)


@contextmanager
def staged(folder: int, name: str) -> Iterator[StagedFile]:
    """Open a staged file; discarded unless it was committed.

    The directories become durable with the file: a journal keeps the order of what was done, so whoever waits for a
    file waits for the directories that were made before it.
    """
    file = StagedFile(folder, name)
    try:
        yield file
    finally:
        file.discard()


def write(folder: int, name: str, data: bytes, *, if_absent: bool = False, durable: bool = True) -> None:
    """Replace the content of a file atomically and, unless told otherwise, durably.

    `FileExistsError` with `if_absent` if there is one of that name.
    """
    temporary, descriptor = begin(folder)
    try:
        try:
            write_out(descriptor, data)
            if durable:
                settle(descriptor, data)
        finally:
            os.close(descriptor)
        publish(folder, temporary, name, if_absent=if_absent)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
    if durable:
        os.fsync(folder)


def copy(source: Path, folder: int, name: str) -> None:
    """Replace the content of a file by that of another, atomically and durably, in pieces."""
    with source.open("rb") as read, staged(folder, name) as file:
        while piece := read.read(CHUNK_BYTES):
            file.write(piece)
        file.commit()


def begin(folder: int) -> tuple[str, int]:
    """Make an empty file in an open directory; return its name and its open descriptor."""
    temporary = TEMPORARY_PREFIX + os.urandom(8).hex()
    return temporary, os.open(temporary, _NEW, 0o666, dir_fd=folder)


def write_out(descriptor: int, data: bytes) -> None:
    """Write all of the data."""
    written = os.write(descriptor, data)
    if written < len(data):
        rest = memoryview(data)[written:]
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def settle(descriptor: int, data: bytes) -> None:
    """Make what was written to a file durable. An empty one is but its name, which its directory makes durable."""
    if data:
        os.fsync(descriptor)


def publish(folder: int, temporary: str, name: str, *, if_absent: bool = False) -> None:
    """Give a finished file its name; `FileExistsError` with `if_absent` if that is taken."""
    if if_absent:
        # A hard link, unlike a rename, fails when its name is taken.
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        os.unlink(temporary, dir_fd=folder)
    else:
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)


def read(descriptor: int) -> bytes:
    """Return the content of an open file, and close it."""
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


def open_folder(directory: str, *, syncing: bool = True) -> int:
    """Open a directory to work in it; `syncing` makes the names in it durable by `fsync`, and needs it readable."""
    return os.open(directory, _READABLE if syncing else _REACHABLE)


def make_directories(directory: str) -> None:
    """Create the directory and its parents; another may do so at the same time."""
    try:
        os.mkdir(directory)
    except FileNotFoundError:
        make_directories(directory.rpartition("/")[0])
        with suppress(FileExistsError):
            os.mkdir(directory)
    except FileExistsError:
        return


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
