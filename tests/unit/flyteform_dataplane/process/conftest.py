"""An executor on real processes, with an entry point that runs the code that it is given."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flyteform_dataplane.process.executor import ProcessExecutor
from flyteform_dataplane.process.images import ImageRule, ImageTable
from flyteform_dataplane.process.limits import Machine
from support.attempts import DEADLINE, WARM, Bench, alive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

# Stands in for the SDK's entry point: what a template does with an attempt does not depend on what the attempt does.
_ENTRY_POINT = """
import sys
value = "untouched"
def preload(): pass
def main():
    exec(compile(sys.argv[1], "<task>", "exec"), {"__name__": "task"})
    return 0
"""


@pytest.fixture
def images(tmp_path: Path) -> ImageTable:
    """Return the interpreter of this test run, and the same one with the entry point above for the warm image."""
    library = tmp_path / "library" / "flyteform"
    library.mkdir(parents=True)
    (library / "__init__.py").touch()
    (library / "run.py").write_text(_ENTRY_POINT)
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nPYTHONPATH={library.parent} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return ImageTable((ImageRule(WARM, python),), Path(sys.executable))


@pytest.fixture
async def executor(tmp_path: Path, images: ImageTable) -> AsyncIterator[ProcessExecutor]:
    """Open an executor for two attempts at once on a machine that pretends to have two CPUs and no GPU."""
    made = ProcessExecutor(tmp_path / "state", images, max_attempts=2, machine=Machine(2, 8 << 30, 0))
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def bench(executor: ProcessExecutor) -> Bench:
    """Return what makes attempts."""
    return Bench(executor)


@pytest.fixture(autouse=True)
def _no_process_remains(tmp_path: Path) -> Iterator[None]:
    """Prove after each test that nothing which carries this test's marker is left."""
    yield
    deadline = time.monotonic() + DEADLINE
    while (left := _marked(f"FLYTEFORM_OWNER={tmp_path}".encode())) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left == []


def _marked(marker: bytes) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid() and alive(int(entry.name)):
            with suppress(OSError):
                if marker in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
    return found
