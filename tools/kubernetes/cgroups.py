"""The control groups below which a cluster's pods run, in version 1, version 2 and both."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.kubernetes.settings import Cluster

_ROOT = Path("/sys/fs/cgroup")
_CPUSET = ("cpuset.mems", "cpuset.cpus")


def name(cluster: Cluster) -> str:
    """Return the group's name, which no other cluster of this machine has."""
    return cluster.namespace


def writable() -> bool:
    """Whether groups can be made; in most containers they cannot."""
    hierarchies = [*_hierarchies()]
    return bool(hierarchies) and all(os.access(hierarchy, os.W_OK) for hierarchy in hierarchies)


def make(cluster: Cluster) -> None:
    """Make the group in every hierarchy; in version 1 a cpuset is empty until somebody fills it."""
    _pass_on_controllers()
    for hierarchy in _hierarchies():
        group = hierarchy / name(cluster)
        group.mkdir(exist_ok=True)
        for file in _CPUSET:
            if (hierarchy / file).exists():
                (group / file).write_text((hierarchy / file).read_text())


def _pass_on_controllers() -> None:
    """Give groups all controllers that there are: in version 2 they have what the root passes on."""
    if not (_ROOT / "cgroup.controllers").exists():
        return
    passed = _ROOT / "cgroup.subtree_control"
    missing = {*(_ROOT / "cgroup.controllers").read_text().split()} - {*passed.read_text().split()}
    if missing:
        # Refused in a container whose own processes are in this group: the kubelet says which it misses.
        with contextlib.suppress(OSError):
            passed.write_text(" ".join(f"+{controller}" for controller in sorted(missing)))


def remove(cluster: Cluster) -> None:
    """Remove the group with all groups below it; those that still have processes stay."""
    for hierarchy in _hierarchies():
        group = hierarchy / name(cluster)
        folders = [group, *(path for path in group.rglob("*") if path.is_dir())] if group.exists() else []
        for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
            try:
                folder.rmdir()
            except OSError:
                continue


def _hierarchies() -> Iterator[Path]:
    if (_ROOT / "cgroup.controllers").exists():
        yield _ROOT
        return
    for path in sorted(_ROOT.glob("*")):
        if path.is_dir() and not path.is_symlink() and (path / "cgroup.procs").exists():
            yield path
