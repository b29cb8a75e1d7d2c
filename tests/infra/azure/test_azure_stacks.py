"""Platforms on Azure: whole graphs against golden files, and what production must have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.recording.goldens import compare
from support.recording.stacks import shipped

if TYPE_CHECKING:
    from support.recording.stacks import Recordings


@pytest.mark.parametrize("stack", shipped("azure"))
def test_golden(recordings: Recordings, stack: str) -> None:
    """The stack's resources are as its golden file says."""
    compare(recordings.shipped("azure", stack).check())


@pytest.mark.parametrize("stack", shipped("azure"))
def test_preview(recordings: Recordings, stack: str) -> None:
    """The first preview, with everything unknown, runs to its end."""
    recordings.shipped("azure", stack, preview=True).check()
