"""The state directory: held by one platform at a time, addresses published whole."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from flyteform_local.errors import PlatformError, StateDirectoryInUseError
from flyteform_local.processes import this_process
from flyteform_local.state import (
    LOCK_NAME,
    Addresses,
    Holder,
    default_state_dir,
    hold,
    read_addresses,
    read_holder,
    write_addresses,
)

if TYPE_CHECKING:
    from pathlib import Path

HERE = Addresses(grpc="127.0.0.1:1", http="http://127.0.0.1:2", pid=3)


def test_a_second_holder_is_refused_with_what_the_first_published(tmp_path: Path) -> None:
    """Whoever comes second learns which process holds the directory and where it serves."""
    with hold(tmp_path / "state") as directory:
        write_addresses(directory, HERE)
        with (
            pytest.raises(StateDirectoryInUseError, match="process 3, serving at http"),
            hold(directory),
        ):
            pytest.fail("it was held twice")
        assert read_addresses(directory) == HERE


def test_it_can_be_held_again_and_shows_no_old_addresses(tmp_path: Path) -> None:
    """After its holder has ended the directory is free and says nothing of where that served."""
    with hold(tmp_path) as directory:
        write_addresses(directory, HERE)
    assert read_addresses(tmp_path) is None
    write_addresses(tmp_path, HERE)  # as a killed platform leaves it
    with hold(tmp_path):
        assert read_addresses(tmp_path) is None


def test_the_directory_is_made_private(tmp_path: Path) -> None:
    """A directory that is made belongs to its owner alone."""
    with hold(tmp_path / "a" / "b") as directory:
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_directory_that_cannot_be_is_refused(tmp_path: Path) -> None:
    """A file in the way is an error that names the directory and the flag."""
    (tmp_path / "file").write_text("")
    with pytest.raises(PlatformError) as refused, hold(tmp_path / "file" / "state"):
        pytest.fail("it was made")
    assert str(tmp_path / "file" / "state") in refused.value.message
    assert "--state-dir" in (refused.value.remedy or "")


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"grpc": "x"})])
def test_half_an_address_file_is_no_address(tmp_path: Path, text: str) -> None:
    """What cannot be read as addresses counts as nothing published."""
    (tmp_path / "platform.json").write_text(text)
    assert read_addresses(tmp_path) is None


def test_the_default_follows_the_base_directory_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG_STATE_HOME decides, the home directory otherwise."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_state_dir() == tmp_path / "flyteform"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_state_dir() == tmp_path / ".local" / "state" / "flyteform"


def test_who_holds_it_is_known(tmp_path: Path) -> None:
    """While somebody holds it, it is known who and for whom; afterwards nobody does, also after a failure."""
    with hold(tmp_path, "urn:mine"):
        assert read_holder(tmp_path) == Holder(this_process(), "urn:mine")
    assert read_holder(tmp_path) is None

    def fail() -> None:
        with hold(tmp_path):
            raise ValueError("it cannot start")

    with pytest.raises(ValueError, match="cannot start"):
        fail()
    assert read_holder(tmp_path) is None


@pytest.mark.parametrize("said", ["", "{", "[]", '{"process": {}}', '{"process": {"pid": 1, "began": "never"}}'])
def test_a_file_that_says_nothing_names_nobody(tmp_path: Path, said: str) -> None:
    """What an older release, or one that was killed while it wrote, has left is no holder."""
    (tmp_path / LOCK_NAME).write_text(said)
    assert read_holder(tmp_path) is None
