"""Durable, atomic files: the blocking primitives below the local object store. Paths are trusted here."""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Unfinished writes lie beside their target, as a rename is atomic within one file system only.
TEMPORARY_PREFIX = ".flyteform-tmp-"
CHUNK_BYTES = 1024 * 1024


class StagedFile:
    """A file being written beside its target; nobody sees it before `commit`."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._temporary = target.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
        self._digest = hashlib.md5(usedforsecurity=False)
        self._file = self._temporary.open("xb")
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

    def commit(self, *, if_absent: bool = False, durable: bool = True) -> None:
        """Make the content durable and visible at once; `FileExistsError` with `if_absent` if the target exists."""
        self._file.flush()
        if durable:
            os.fsync(self._file.fileno())
        self._file.close()
        if if_absent:
            # A hard link, unlike a rename, fails when its name is taken.
            self._target.hardlink_to(self._temporary)
            self._temporary.unlink()
        else:
            self._temporary.replace(self._target)
        if durable:
            sync_directory(self._target.parent)

    def discard(self) -> None:
        """Forget what was written; nothing to do after a commit."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)


@contextmanager
def staged(target: Path) -> Iterator[StagedFile]:
    """Open a staged file for `target`, creating its directories; discarded unless it was committed.

    The directories become durable with the file: a journal keeps the order of what was done, so whoever waits for a
    file waits for the directories that were made before it.
    """
    make_directories(target.parent)
    file = StagedFile(target)
    try:
        yield file
    finally:
        file.discard()


def write(target: Path, data: bytes, *, if_absent: bool = False, durable: bool = True) -> None:
    """Replace the content of `target` atomically and, unless told otherwise, durably."""
    with staged(target) as file:
        file.write(data)
        file.commit(if_absent=if_absent, durable=durable)


def copy(source: Path, target: Path) -> None:
    """Replace the content of `target` by that of another file, atomically and durably, in pieces."""
    with source.open("rb") as read, staged(target) as file:
        while piece := read.read(CHUNK_BYTES):
            file.write(piece)
        file.commit()


def md5_of(path: Path) -> bytes:
    """MD5 of a file's content, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()


def make_directories(directory: Path) -> None:
    """Create the directory and its parents; another may do so at the same time."""
    if directory.is_dir():
        return
    make_directories(directory.parent)
    with suppress(FileExistsError):
        directory.mkdir()


def sync_directory(directory: Path) -> None:
    """Make the names in the directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def walk(directory: Path, below: str = "") -> Iterator[tuple[str, int]]:
    """Yield (path relative to `directory`, size) of every regular file, in order of the path as a string.

    Symbolic links and unfinished writes are left out; what vanishes meanwhile is too.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        with os.scandir(directory / below) as entries:
            listed = [
                (entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name, entry) for entry in entries
            ]
        for name, entry in sorted(listed, key=lambda item: item[0]):
            if name.endswith("/"):
                yield from walk(directory, below + name)
            elif entry.is_file(follow_symlinks=False) and not name.startswith(TEMPORARY_PREFIX):
                with suppress(FileNotFoundError):
                    yield below + name, entry.stat(follow_symlinks=False).st_size
