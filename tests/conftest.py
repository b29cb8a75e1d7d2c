"""What holds for every test."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _no_imports_left() -> Iterator[None]:
    """Forget modules that a test wrote and imported: the next test may write others of the same names."""
    path = sys.path.copy()
    yield
    sys.path[:] = path
    written = Path(tempfile.gettempdir()).resolve()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and Path(file).is_relative_to(written) and not _is_of_the_project(file):
            del sys.modules[name]


def _is_of_the_project(file: str) -> bool:
    return Path(file).is_relative_to(Path(__file__).parent.parent)
