"""Control groups of a cluster, in each version of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tools.kubernetes import cgroups
from tools.kubernetes.settings import Cluster, Mode

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder where the groups are believed to be."""
    monkeypatch.setattr(cgroups, "_ROOT", tmp_path)
    return tmp_path


def test_version_1(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each hierarchy has the group; that of cpus has those of its parent; all go again."""
    for name in ("memory", "cpuset"):
        (root / name).mkdir()
        (root / name / "cgroup.procs").touch()
    (root / "cpuset" / "cpuset.cpus").write_text("0-3")
    cluster = Cluster.new(tmp_path_factory.mktemp("run"), Mode.FULL)
    cgroups.make(cluster)
    assert (root / "memory" / cgroups.name(cluster)).is_dir()
    cpus = root / "cpuset" / cgroups.name(cluster) / "cpuset.cpus"
    assert cpus.read_text() == "0-3"
    cpus.unlink()  # the kernel's own files go with their folder
    cgroups.remove(cluster)
    assert not [*root.glob(f"*/{cgroups.name(cluster)}")]


def test_version_2(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The one hierarchy has the group, and passes all controllers on to it."""
    (root / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (root / "cgroup.subtree_control").write_text("cpu pids\n")
    cluster = Cluster.new(tmp_path_factory.mktemp("run"), Mode.FULL)
    cgroups.make(cluster)
    assert (root / cgroups.name(cluster)).is_dir()
    assert (root / "cgroup.subtree_control").read_text() == "+cpuset +io +memory"
    cgroups.remove(cluster)
    assert not (root / cgroups.name(cluster)).exists()


def test_a_machine_without_groups(root: Path) -> None:
    """Where there are none none can be made."""
    assert not [*root.iterdir()]
    assert not cgroups.writable()
