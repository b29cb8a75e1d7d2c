"""Recordings of stacks, shared by all processes of a test run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from support.recording.stacks import Recordings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """Return the maker of recordings."""
    folder: Path = tmp_path_factory.getbasetemp()
    shared = folder.parent if os.environ.get("PYTEST_XDIST_WORKER") else folder
    return Recordings(shared / "recordings")
