"""What the tests of the SDK share: a user's file, loaded as the commands load it."""

from __future__ import annotations

import itertools
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from flyteform.authoring import LoadedModule, load_module

if TYPE_CHECKING:
    from pathlib import Path

Declare = Callable[[str], LoadedModule]
_numbers = itertools.count()


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Declare]:
    """Return a function that writes a user's file and loads it; every file has a name of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def load(source: str) -> LoadedModule:
        path = tmp_path / f"flow{next(_numbers)}.py"
        path.write_text("import flyteform as fl\n" + textwrap.dedent(source).lstrip("\n"))
        return load_module(path)

    yield load
    for name in set(sys.modules) - before:
        if name.startswith("flow"):
            del sys.modules[name]
