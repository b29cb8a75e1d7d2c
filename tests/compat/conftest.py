"""What all tests of stock clients share: the client's programs and one platform that runs its images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support import stock
from support.platform import Platform, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def flytekit() -> Path:
    """Give the folder with the stock client's programs."""
    return stock.programs()


@pytest.fixture(scope="session")
def platform(flytekit: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Give a platform that runs flytekit's images with the stock client's interpreter."""
    with running(tmp_path_factory.mktemp("compat"), f"--image=*flytekit*={flytekit / 'python'}") as started:
        yield started
