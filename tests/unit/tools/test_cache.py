"""Layers of images in the cache: which are found again, and which go."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from tools.kubernetes.cache import RECENT, ROOM, UNUSED, kept

if TYPE_CHECKING:
    from pathlib import Path


def _stored(folder: Path, name: str, *, idle: float, size: int = 1) -> Path:
    """Put a layer into the cache that was used so many seconds ago; a large one has no blocks on the disk."""
    path = folder / name
    with path.open("wb") as file:
        file.truncate(size)
    path.with_suffix(".sha256").write_text("digest")
    before = time.time() - idle
    os.utime(path, (before, before))
    return path


def _make(path: Path) -> None:
    path.write_bytes(b"made")


def _fail(path: Path) -> None:
    raise AssertionError(f"{path} is there already")


def test_a_layer_is_made_once_and_used_again(tmp_path: Path) -> None:
    """The second time nothing is made, and the layer counts as used just now."""
    made = kept("layer", _make, tmp_path)
    os.utime(made, (1, 1))
    assert kept("layer", _fail, tmp_path) == made
    assert made.read_bytes() == b"made"
    assert time.time() - made.stat().st_mtime < RECENT


def test_layers_that_nobody_uses_go(tmp_path: Path) -> None:
    """With their digests, and with what interrupted runs have left; those used since stay."""
    old = _stored(tmp_path, "old.tar", idle=UNUSED + 60)
    broken = _stored(tmp_path, "broken.17.partial", idle=RECENT + 60)
    young = _stored(tmp_path, "young.tar", idle=UNUSED - 60)
    being_made = _stored(tmp_path, "other.18.partial", idle=RECENT - 60)
    kept("layer", _make, tmp_path)
    assert not old.exists()
    assert not old.with_suffix(".sha256").exists()
    assert not broken.exists()
    assert young.exists()
    assert being_made.exists()


def test_there_is_no_more_than_there_is_room_for(tmp_path: Path) -> None:
    """Those used longest ago go first, however young they are."""
    used = [_stored(tmp_path, f"{hours}.tar", idle=hours * 3600 + 60, size=ROOM // 4) for hours in range(1, 7)]
    kept("layer", _make, tmp_path)
    assert [path.exists() for path in used] == [True, True, True, False, False, False]


def test_what_somebody_may_be_reading_stays(tmp_path: Path) -> None:
    """Another run's layers are not taken from it, even where there is no room."""
    used = [_stored(tmp_path, f"{number}.tar", idle=number, size=ROOM) for number in range(3)]
    kept("layer", _make, tmp_path)
    assert all(path.exists() for path in used)


def test_of_several_the_first_stays(tmp_path: Path) -> None:
    """Who makes a layer that somebody else makes meanwhile uses theirs: its digest may have been told already."""

    def be_late(path: Path) -> None:
        kept("layer", _make, tmp_path)
        path.write_bytes(b"made differently")

    assert kept("layer", be_late, tmp_path).read_bytes() == b"made"
    assert not [*tmp_path.glob("*.partial")]


def test_a_new_layer_has_no_old_digest(tmp_path: Path) -> None:
    """What somebody has removed by hand is made again, with another digest perhaps."""
    _stored(tmp_path, "layer.tar", idle=1).unlink()
    made = kept("layer", _make, tmp_path)
    assert made.exists()
    assert not made.with_suffix(".sha256").exists()


def test_a_layer_that_could_not_be_made_is_not_there(tmp_path: Path) -> None:
    """What fails half-way is made anew the next time."""

    def break_off(path: Path) -> None:
        path.write_bytes(b"ma")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        kept("layer", break_off, tmp_path)
    assert kept("layer", _make, tmp_path).read_bytes() == b"made"
