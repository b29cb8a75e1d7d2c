"""Starting is cheap: heavy libraries are imported only by who needs them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import flyteform

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = ("grpc", "google.protobuf", "flyteidl", "rich", "pydantic", "asyncio", "msgpack", "sqlalchemy")
SOURCE = """
from dataclasses import dataclass
import flyteform as fl

@dataclass
class Box:
    xs: list[int]

@fl.task
def count(box: Box) -> int:
    return len(box.xs)

@fl.workflow
def wf(box: Box = Box([1, 2])) -> int:
    return count(box=box)
"""


def heavy_after(program: str, *arguments: str) -> list[str]:
    """Return which heavy libraries a program has imported at its end, in a process of its own."""
    report = f"print(*[name for name in {HEAVY!r} if name in sys.modules], sep='\\n', file=sys.stderr)"
    whole = f"import atexit, sys\natexit.register(lambda: {report})\n{program}"
    command = [sys.executable, "-c", whole, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stderr.split()


def test_importing_the_package_imports_nothing_heavy() -> None:
    """`import flyteform` has to stay far below 100 ms."""
    assert heavy_after("import flyteform") == []


def test_declaring_imports_nothing_heavy() -> None:
    """Nor does using what it exports."""
    assert heavy_after("from flyteform import *") == []


def test_a_local_run_imports_nothing_heavy(tmp_path: Path) -> None:
    """`flyteform run` of a workflow with a dataclass neither speaks to a platform nor encodes anything."""
    path = tmp_path / "light.py"
    path.write_text(SOURCE)
    assert heavy_after("from flyteform.cli.main import main; main()", "run", str(path), "wf") == []


def test_every_public_name_can_be_loaded() -> None:
    """Each name in __all__ is there, and others are refused as in any module."""
    for name in flyteform.__all__:
        assert getattr(flyteform, name) is not None
    assert set(flyteform.__all__) <= set(dir(flyteform))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = flyteform.nothing
