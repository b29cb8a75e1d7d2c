"""Where definitions of others' resources come from."""

from __future__ import annotations

import pytest
from tools.kubernetes.definitions import MODULES, PINNED


@pytest.mark.parametrize("module", MODULES)
def test_every_module_is_pinned(module: str) -> None:
    """The digest of each release is known, so that nothing else is asked and nothing else is taken."""
    pinned = [line.split()[:2] for line in (PINNED / "go.sum").read_text().splitlines()]
    name, _, release = module.partition("@")
    assert [name, release] in pinned
    assert [name, f"{release}/go.mod"] in pinned
