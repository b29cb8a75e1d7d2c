"""Stacks on clusters of one's own: goldens, previews, and what has to be in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.recording.goldens import compare
from support.recording.stacks import shipped

if TYPE_CHECKING:
    from support.recording.stacks import Recordings

STACKS = shipped("onprem")


@pytest.mark.parametrize("stack", STACKS)
def test_golden(recordings: Recordings, stack: str) -> None:
    """The stack's resources are as its golden file says."""
    compare(recordings.shipped("onprem", stack).check())


@pytest.mark.parametrize("stack", STACKS)
def test_preview(recordings: Recordings, stack: str) -> None:
    """The first preview runs to its end."""
    recordings.shipped("onprem", stack, preview=True).check()
