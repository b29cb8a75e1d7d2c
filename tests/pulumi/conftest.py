"""Says which engines run the Pulumi tests, and gives them stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from support.pulumi.stacks import OWN, REAL, Stack, has_cli, stack_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def pytest_report_header() -> str:
    """Say which engines run the Pulumi tests."""
    return f"Pulumi engines: {OWN}{f', {REAL}' if has_cli() else '; no pulumi on PATH'}"


@pytest_asyncio.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """Yield a stack on a platform of its own."""
    async with stack_in(tmp_path) as made:
        yield made
