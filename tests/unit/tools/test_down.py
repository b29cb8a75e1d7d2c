"""How a cluster ends with the process that it was started for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tools.kubernetes.processes import Processes
from tools.kubernetes.settings import Cluster, Mode

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="clusters run on Linux")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Return a cluster of which one program runs."""
    run = tmp_path / "run"
    run.mkdir()
    made = Cluster.new(run, Mode.CONTROL)
    made.write()
    processes = Processes(made)
    processes.start("etcd", ["sleep", "600"])
    yield made
    processes.stop("etcd")


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[bytes]]:
    """Return the process that the cluster is for."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


@pytest.fixture
def down(cluster: Cluster, owner: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Return the command, which waits."""
    command = [sys.executable, "-m", "tools.kubernetes", "--run", cluster.run, "down", "--after", str(owner.pid)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert str(owner.pid) in process.stdout.readline().decode()
        yield process
        process.kill()


def test_it_ends_after_the_process(
    cluster: Cluster, owner: subprocess.Popen[bytes], down: subprocess.Popen[bytes]
) -> None:
    """When that is killed its programs end and its folder goes."""
    assert down.poll() is None
    owner.kill()
    assert down.wait(PATIENCE) == 0
    assert not Processes(cluster).running("etcd")
    assert not cluster.run.exists()


def test_another_one_in_its_folder_does_not(
    cluster: Cluster, owner: subprocess.Popen[bytes], down: subprocess.Popen[bytes]
) -> None:
    """The command is for the cluster that ran when it was given."""
    Cluster.new(cluster.run, Mode.CONTROL).write()
    assert down.wait(PATIENCE) == 0
    assert owner.poll() is None
    assert Processes(cluster).running("etcd")
