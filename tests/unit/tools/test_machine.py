"""What is said on machines where no node can run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tools.kubernetes import machine
from tools.kubernetes.machine import prepare
from tools.kubernetes.settings import ClusterError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder with all programs that a node needs, which do nothing, on a machine where this is root."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in machine._COMMANDS:  # noqa: SLF001 - whatever they are
        _write(folder / name, "")
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "bridge").touch()
    monkeypatch.setattr(machine, "PLUGINS", plugins)
    monkeypatch.setattr("tools.kubernetes.cgroups._ROOT", tmp_path)
    (tmp_path / "cgroup.controllers").touch()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def _write(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_a_machine_that_has_all(programs: Path, tmp_path: Path) -> None:
    """Nothing is installed, and nothing is left of what was tried, in a folder that is not there yet."""
    before = {*tmp_path.iterdir()}
    prepare(tmp_path / "not" / "yet")
    assert programs.exists()
    assert {*tmp_path.iterdir()} == before


def test_another_user(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not root is told what works all the same."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ClusterError, match="needs root; as a user: make cluster ARGS='up --mode control'"):
        prepare(programs)


@pytest.mark.parametrize(
    ("asked", "said"),
    [("true", "make namespaces"), ("iptables", "change rules of a firewall"), ("mount", "mount layers of images")],
)
def test_what_root_may_not_do(programs: Path, asked: str, said: str) -> None:
    """The error says what was tried, and the system's reason."""
    # After two options there is the program that it starts.
    _write(programs / "unshare", f'[ "$3" != {asked} ] || {{ echo not permitted >&2; exit 1; }}')
    with pytest.raises(ClusterError, match=f"root may not {said}.*: not permitted"):
        prepare(programs)


def test_a_system_without_control_groups(programs: Path, tmp_path: Path) -> None:
    """As containers have them."""
    (tmp_path / "cgroup.controllers").unlink()
    with pytest.raises(ClusterError, match="control groups"):
        prepare(programs)


def test_another_distribution(programs: Path) -> None:
    """Without Debian's installer the names of its packages are all that can be said."""
    (programs / "runc").unlink()
    with pytest.raises(ClusterError, match="install what Debian calls containerd, runc, "):
        prepare(programs)


def test_packages_are_installed(programs: Path, tmp_path: Path) -> None:
    """Where a program is missing Debian's installer is asked for all; its own reason is told where it fails."""
    (programs / "runc").unlink()
    asked = tmp_path / "asked"
    _write(programs / "apt-get", f'echo "$@" >> {asked}')
    prepare(programs)
    assert [line.split()[0] for line in asked.read_text().splitlines()] == ["update", "install"]
    assert " runc " in asked.read_text()
    _write(programs / "apt-get", "echo no route to the mirror >&2; exit 100")
    with pytest.raises(ClusterError, match="apt-get update -q: no route to the mirror"):
        prepare(programs)
