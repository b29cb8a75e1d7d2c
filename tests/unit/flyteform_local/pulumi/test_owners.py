"""Whose a state directory is, and what of it is removed."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from flyteform.errors import ConflictError
from flyteform_local.errors import PlatformError, StateDirectoryInUseError
from flyteform_local.pulumi.owners import Claim, claim, has_platform, keep_claim, read_claim, release, remove_data
from flyteform_local.state import hold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OURS, THEIRS = Claim("urn:ours", {"stateDir": "/x"}), Claim("urn:theirs", {})


def test_the_first_has_it(tmp_path: Path) -> None:
    """A directory is the first one's until it lets go; asking again changes what it asked for."""
    state_dir = tmp_path / "deep" / "state"
    claim(state_dir, OURS)
    with pytest.raises(ConflictError, match="urn:ours"):
        claim(state_dir, THEIRS)
    again = Claim(OURS.owner, {"stateDir": "/y"})
    claim(state_dir, again)
    assert read_claim(state_dir) == again
    release(state_dir)
    assert read_claim(state_dir) is None


def test_one_of_many_at_once_has_it(tmp_path: Path) -> None:
    """Of several that ask at the same time one has the directory, and no file is left of the others."""

    def ask(number: int) -> bool:
        try:
            claim(tmp_path / "state", Claim(f"urn:{number}", {}))
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == 1
    assert [each.name for each in (tmp_path / "state").iterdir()] == ["stack.json"]


def test_what_a_start_has_left_that_failed_at_once_is_no_hindrance(tmp_path: Path) -> None:
    """A log is all that a platform leaves that could not even hold its directory: the next start has it."""
    (tmp_path / "platform.log").write_text("no module named uvicorn")
    claim(tmp_path, OURS)
    assert read_claim(tmp_path) == OURS


def test_a_directory_of_other_things_is_refused(tmp_path: Path) -> None:
    """What somebody keeps there is no platform's, and stays as it is."""
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(PlatformError, match=r"thesis\.txt is in it"):
        claim(tmp_path, OURS)
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """Take a directory away from this process, also where root may read everything."""
    user = os.geteuid()
    path.chmod(0)
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        path.chmod(0o700)


@pytest.mark.parametrize("ask", [has_platform, lambda state_dir: claim(state_dir, OURS)], ids=["looked at", "claimed"])
def test_a_directory_of_somebody_elses_is_refused(tmp_path: Path, ask: Callable[[Path], object]) -> None:
    """A directory that may not be read is no surprise: it is said which, and why."""
    with unreadable(tmp_path), pytest.raises(PlatformError, match="cannot be used: Permission denied") as refused:
        ask(tmp_path / "state")
    assert refused.value.remedy is not None
    assert "that you may write to" in refused.value.remedy


def test_a_claim_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    """A file that is cut short says nothing, and is written anew by who has the directory in its state."""
    claim(tmp_path / "state", OURS)
    (tmp_path / "state" / "stack.json").write_text('{"owner"')
    assert read_claim(tmp_path / "state") is None
    keep_claim(tmp_path / "state", THEIRS)
    assert read_claim(tmp_path / "state") == THEIRS


def test_only_what_platforms_made_is_removed(tmp_path: Path) -> None:
    """Data goes, what somebody has put beside it stays; while a platform runs nothing goes."""
    state_dir = tmp_path / "state"
    claim(state_dir, OURS)
    (state_dir / "objects" / "deep").mkdir(parents=True)
    (state_dir / "control.db").touch()
    (state_dir / "mine.txt").touch()
    with hold(state_dir), pytest.raises(StateDirectoryInUseError):
        remove_data(state_dir)
    assert (state_dir / "control.db").exists()
    assert remove_data(state_dir) == ("mine.txt",)
    assert [each.name for each in state_dir.iterdir()] == ["mine.txt"]
    (state_dir / "mine.txt").unlink()
    assert remove_data(state_dir) == ()
    assert not state_dir.exists()
