"""Containerfiles: what every image has to be, and the commands that build them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "images").glob("*.Containerfile"))


@pytest.mark.parametrize("file", FILES, ids=lambda each: each.stem)
def test_containerfile(file: Path) -> None:
    """Nobody's user, pinned bases, the locked dependencies, and nothing of the build in the image."""
    text = file.read_text()
    last = text.rpartition("\nFROM ")[2]
    user = re.search(r"^USER (\d+):(\d+)$", last, re.MULTILINE)
    assert user
    assert "0" not in user.groups()
    assert re.search(r"^ARG PYTHON=\S+:\d+\.\d+\.\d+-slim-\w+$", text, re.MULTILINE)
    assert all(re.search(r":\d+\.\d+\.\d+ ", each) for each in re.findall(r"COPY --from=ghcr\S+ ", text))
    assert text.count("uv sync --frozen --no-dev") == 2
    assert "COPY --from=build /opt/flyteform /opt/flyteform" in last
    assert "/src" not in last
    pinned = re.search(r"^VERSION=(\S+)$", (ROOT / "tools" / "uv").read_text(), re.MULTILINE)
    assert pinned
    assert f"uv:{pinned[1]} " in text


@pytest.mark.parametrize("file", FILES, ids=lambda each: each.stem)
def test_context(file: Path) -> None:
    """A build sees what it copies, and neither the repository's history nor caches."""
    listed = (file.parent / f"{file.name}.dockerignore").read_text().split()
    assert listed[0] == "*"
    for words in re.findall(r"^COPY (?!--)(.+) \S+$", file.read_text(), re.MULTILINE):
        assert all(f"!{each}" in listed for each in words.split())


def test_commands() -> None:
    """All images are built with the project's version; a name that is not there is told with those that are."""
    tool = [sys.executable, ROOT / "tools" / "build_images.py"]
    shown = subprocess.run([*tool, "--dry-run"], capture_output=True, text=True, check=True).stdout
    assert [each.stem for each in FILES] == re.findall(r"localhost/flyteform/(\w+):\d+\.\d+\.\d+ ", shown)
    wrong = subprocess.run([*tool, "contrlplane"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert "there is no image contrlplane: controlplane, dataplane, task" in wrong.stderr
