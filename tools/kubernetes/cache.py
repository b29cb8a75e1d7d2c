"""Layers of images that were made before: kept by their names as long as they are used and there is room."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tools.kubernetes.settings import CACHE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROOM = 3 * 1024**3  # bytes; all images of one checkout take one third
UNUSED = 14 * 24 * 3600.0  # seconds after which nobody is expected to use a layer again
# Seconds within which somebody, here or in another clone, may still be reading what they asked for.
RECENT = 3600.0
_LAYER, _PARTIAL = ".tar", ".partial"


def kept(name: str, make: Callable[[Path], None], folder: Path = CACHE / "images") -> Path:
    """Return the layer of this name, made if nobody has made it yet; what has no room beside it goes."""
    target = folder / f"{name}{_LAYER}"
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        if target.exists():
            os.utime(target)
            return target
    # Of several that make it at once each has a file of its own.
    partial = target.with_suffix(f".{os.getpid()}{_PARTIAL}")
    make(partial)
    with _locked(folder):
        if target.exists():
            # Somebody was faster. Theirs stays, whose digest may be known: byte code differs from one time to the next.
            partial.unlink()
        else:
            _digest_of(target).unlink(missing_ok=True)
            partial.rename(target)
        _prune(folder)
    return target


def _prune(folder: Path) -> None:
    """Remove the layers that were used longest ago, beyond the room or the time that they have."""
    now, taken = time.time(), 0
    layers = [(path, path.stat()) for path in folder.iterdir() if path.suffix in (_LAYER, _PARTIAL)]
    for path, found in sorted(layers, key=lambda layer: layer[1].st_mtime, reverse=True):
        taken += found.st_size
        idle = now - found.st_mtime
        left = path.suffix == _PARTIAL or taken > ROOM or idle > UNUSED
        if left and idle > RECENT:
            path.unlink()
            _digest_of(path).unlink(missing_ok=True)


def _digest_of(layer: Path) -> Path:
    return layer.with_suffix(".sha256")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
