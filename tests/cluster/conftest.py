"""Which of these tests may run at the same time."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let files that start simulated clusters of their own run beside those that share the one with real pods."""
    for item in items:
        alone = hasattr(item.getparent(pytest.Module).obj, "simulated")  # type: ignore[union-attr]
        item.add_marker(pytest.mark.xdist_group(item.path.stem if alone else "shared"))
