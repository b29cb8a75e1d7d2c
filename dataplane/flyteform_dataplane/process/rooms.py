"""Working folders: each attempt has its own, which is used again when nothing of the attempt is left in or around it.

To make folders and to remove them is dear: a file system looks past all that was removed in the last seconds.
"""

from __future__ import annotations

import os
import shutil
import stat
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_NAMES = ("cwd", "tmp")
_MOST_KEPT = 64


class Rooms:
    """The folders below `folder`, which this object alone uses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self._free: list[Path] = []

    def take(self) -> Path:
        """Return a folder that holds two empty ones, `cwd` and `tmp`. Raises OSError if it can't be made."""
        if self._free:
            return self._free.pop()
        room = self._folder / str(next(self._numbers))
        for name in _NAMES:
            (room / name).mkdir(parents=True)
        return room

    def leave(self, room: Path) -> bool:
        """Use the room again if it is as it was made; False if it has to be removed. Nobody may be in it any more."""
        if len(self._free) == _MOST_KEPT or not all(_untouched(room / name) for name in _NAMES):
            return False
        self._free.append(room)
        return True

    def clear(self) -> None:
        """Remove all that is there, of earlier runs too."""
        self._free.clear()
        remove(self._folder)


def remove(room: Path) -> None:
    """Remove a room with all that is in it."""
    shutil.rmtree(room, ignore_errors=True)


def _untouched(folder: Path) -> bool:
    try:
        mode = folder.lstat().st_mode
        return stat.S_ISDIR(mode) and mode & stat.S_IRWXU == stat.S_IRWXU and not os.listdir(folder)  # noqa: PTH208 - pathlib is several times slower
    except OSError:
        return False
