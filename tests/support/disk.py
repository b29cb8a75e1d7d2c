"""A real, small file system of a test's own, to fill up and to make read-only."""

from __future__ import annotations

import errno
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 8 * 1024 * 1024
CHUNK = 4096


class SmallDisk:
    """`directory` is the root of a file system of 8 MiB."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._filler = directory / "filler"

    def fill(self) -> None:
        """Leave not a byte."""
        with self._filler.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * CHUNK)
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017 - what is waited for

    def free(self) -> None:
        """Give all of it back."""
        self._filler.unlink()

    def writable(self, *, allowed: bool) -> None:
        """Let files be written, or none any more; none may be open for writing then."""
        _mount("-o", f"remount,{'rw' if allowed else 'ro'}", str(self.directory))


@contextmanager
def small_disk(directory: Path) -> Iterator[SmallDisk]:
    """Mount one; a machine where this is not permitted skips the test."""
    directory.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(directory))
    except (subprocess.CalledProcessError, FileNotFoundError):
        pytest.skip("mounting a file system of its own is not permitted here")
    try:
        yield SmallDisk(directory)
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)
