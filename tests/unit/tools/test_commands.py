"""What people are told by `make cluster`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tools.kubernetes.settings import Cluster, Mode

ROOT = Path(__file__).parents[3]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return the folder of a cluster."""
    cluster = Cluster.new(tmp_path, Mode.CONTROL)
    cluster.write()
    return tmp_path


def command(run: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run one command of the tool."""
    line = [sys.executable, "-m", "tools.kubernetes", "--run", str(run), *words]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["exec"], "exec what? For example: make cluster ARGS='exec kubectl get pods -A'"),
        (["exec", "no-such-program"], "no-such-program: No such file or directory"),
        (["stop", "etcd"], "etcd does not run; there are none"),
    ],
    ids=["nothing to run", "nothing there to run", "nothing to stop"],
)
def test_mistakes(run: Path, words: list[str], said: str) -> None:
    """One line says what is wrong."""
    ended = command(run, *words)
    assert ended.returncode == 1
    assert ended.stderr == f"Error: {said}\n"


@pytest.mark.parametrize("words", [["status"], ["exec", "true"], ["stop", "etcd"]], ids=lambda words: words[0])
def test_no_cluster(tmp_path: Path, words: list[str]) -> None:
    """Whoever asks for one that is not there is told how there would be one."""
    ended = command(tmp_path, *words)
    assert ended.returncode == 1
    assert ended.stderr == f"Error: no cluster was started in {tmp_path}; start one: make cluster ARGS=up\n"


def test_nothing_to_take_down(tmp_path: Path) -> None:
    """What is not there need not be taken down."""
    ended = command(tmp_path, "down")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_programs_that_do_not_run(run: Path) -> None:
    """The status lists what there should be, and fails."""
    ended = command(run, "status")
    assert ended.returncode == 1
    assert "kube-apiserver           does not run" in ended.stdout
    assert str(run / "admin.kubeconfig") in ended.stdout


def test_commands_run_where_the_cluster_is(run: Path) -> None:
    """They find its kubeconfig, and end as they end."""
    ended = command(run, "exec", "sh", "-c", "echo $KUBECONFIG; exit 7")
    assert ended.returncode == 7
    assert ended.stdout == f"{run}/admin.kubeconfig\n"
