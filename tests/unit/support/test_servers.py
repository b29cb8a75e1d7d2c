"""Servers of the tests' own leave nothing behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.azure import running_azure
from support.guardian import guarded
from support.platform import alive, descendants
from support.postgres import running_postgres
from support.s3 import running_s3

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

EVERYBODYS = Path("/tmp")  # noqa: S108 - what is to be looked at
pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="the system does not list processes in files")


@pytest.mark.parametrize("running", [running_azure, running_postgres, running_s3], ids=lambda each: each.__name__)
def test_a_server_ends_with_all_its_processes_and_files(running: Callable[[], AbstractContextManager[object]]) -> None:
    """Not only the process that the fixture started, nor only the files that the fixture made."""
    others, folder = descendants(os.getpid()), guarded()
    files = set(folder.iterdir())
    with running():
        started = [pid for pid in descendants(os.getpid()) if pid not in others]
        assert alive(started)
        assert set(folder.iterdir()) > files
    assert not alive(started)
    assert set(folder.iterdir()) == files


def test_the_s3_server_leaves_nothing_in_the_folder_of_everybody() -> None:
    """There SeaweedFS has its sockets, named by its ports, and, unless it is told otherwise, its logs and caches."""
    before = set(EVERYBODYS.iterdir())
    with running_s3() as server:
        ends = tuple(f"-{port}.sock" for port in server.ports.values())
        assert [path for path in EVERYBODYS.glob("seaweedfs-*.sock") if path.name.endswith(ends)]
        assert [*server.directory.glob("weed.*.log.*")]
    assert not [path for path in {*EVERYBODYS.iterdir()} - before if path.name.endswith(ends)]
