"""A control plane for every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.admin import World, open_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Give a fresh AdminService on SQLite."""
    async with open_world(tmp_path) as opened:
        yield opened
