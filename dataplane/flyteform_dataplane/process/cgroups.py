"""Limits that the kernel keeps for whole trees of processes: control groups, version 1 or 2, where they may be made.

Each attempt with a limit gets groups of its own below those of this process. What cannot be limited so is limited in
other ways: memory by being watched, CPUs by their number.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from dataclasses import dataclass
from itertools import count
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform_dataplane.ports import Limits

logger = logging.getLogger(__name__)

_PERIOD = 100_000  # microseconds over which a share of CPUs is measured
_LEAST_QUOTA = 1_000  # microseconds: the kernel takes no less
_MOST_CPUS = 8192  # what the kernel can be told to allow
_ROOT = Path("/sys/fs/cgroup")
_TURN = count()


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of one attempt: folders of the kernel's, which its first process enters by itself."""

    folders: tuple[Path, ...] = ()

    @property
    def entrances(self) -> tuple[str, ...]:
        """The files to which a process writes 0 to enter."""
        return tuple(str(folder / "cgroup.procs") for folder in self.folders)

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel has killed something of it because of the limit."""
        return any(_oom_kills(folder) > 0 for folder in self.folders)

    def remove(self) -> None:
        """Remove them; the processes have ended."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                folder.rmdir()


NONE = Groups()


class Cgroups:
    """Makes groups below the folders of this data plane, one for each controller that can be used."""

    def __init__(self, folders: Mapping[str, Path], version: int) -> None:
        self._folders = dict(folders)
        self._version = version

    @classmethod
    def detect(cls, owner: str, root: Path = _ROOT) -> Cgroups:
        """Find out what this machine allows; what an earlier run with the same owner has left is removed."""
        name = f"flyteform-{hashlib.sha256(owner.encode()).hexdigest()[:12]}"
        mine = _own_groups()
        if (root / "cgroup.controllers").exists():
            return cls(_version_2(root / mine.get("", "").lstrip("/"), name), 2)
        found: dict[str, Path] = {}
        for controller in ("memory", "cpu"):
            folder = root / controller / mine.get(controller, "").lstrip("/") / name
            if controller in mine and _made(folder):
                found[controller] = folder
        return cls(found, 1)

    def __contains__(self, controller: str) -> bool:
        """Whether the kernel limits `memory` or `cpu`."""
        return controller in self._folders

    def describe(self) -> str:
        """Say how limits are enforced."""
        ways = {"memory": "watching each attempt", "cpu": "the number of its CPUs"}
        ways |= dict.fromkeys(self._folders, f"cgroup v{self._version}")
        return ", ".join(f"{name} by {way}" for name, way in ways.items())

    def make(self, name: str, limits: Limits) -> Groups:
        """Make the groups of an attempt; none for what has no limit, or where the kernel refuses."""
        wanted = {"memory": limits.memory, "cpu": limits.cpu}
        folders: dict[Path, None] = {}
        for controller, limit in wanted.items():
            folder = self._folders.get(controller)
            if folder is not None and limit:
                try:
                    (folder / name).mkdir(exist_ok=True)
                    self._set(folder / name, controller, limit)
                except OSError as error:
                    logger.warning("%s of %s is not limited by its group: %s", controller, name, error.strerror)
                folders[folder / name] = None
        return Groups(tuple(folders))

    def close(self) -> None:
        """Remove the folders of this data plane."""
        for folder in self._folders.values():
            _remove(folder)

    def _set(self, folder: Path, controller: str, limit: float) -> None:
        quota = max(_LEAST_QUOTA, int(min(limit, _MOST_CPUS) * _PERIOD))
        match self._version, controller:
            case 1, "memory":
                _write(folder / "memory.limit_in_bytes", int(limit))
                with contextlib.suppress(OSError):  # there is no such file where swap is not counted
                    _write(folder / "memory.memsw.limit_in_bytes", int(limit))
            case 1, _:
                _write(folder / "cpu.cfs_period_us", _PERIOD)
                _write(folder / "cpu.cfs_quota_us", quota)
            case _, "memory":
                _write(folder / "memory.max", int(limit))
                with contextlib.suppress(OSError):
                    _write(folder / "memory.swap.max", 0)
                    _write(folder / "memory.oom.group", 1)
            case _:
                (folder / "cpu.max").write_text(f"{quota} {_PERIOD}")


def _own_groups() -> dict[str, str]:
    """Return the group of this process by controller; version 2 has one for all, under an empty name."""
    groups: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            groups |= dict.fromkeys(controllers.split(","), path)
    return groups


def _version_2(own: Path, name: str) -> dict[str, Path]:
    """Return the folder for each controller that can be handed down to groups below this process's own."""
    folder = own / name
    if not _made(folder):
        return {}
    found = {}
    for controller in ("memory", "cpu"):
        # The first is refused while the group has processes of its own, unless it is the root.
        with contextlib.suppress(OSError):
            (own / "cgroup.subtree_control").write_text(f"+{controller}")
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")
            found[controller] = folder
    if not found:
        _remove(folder)
    return found


def _made(folder: Path) -> bool:
    _remove(folder)
    try:
        folder.mkdir()
    except OSError:
        return False
    return True


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for below in folder.iterdir():
            if below.is_dir():
                with contextlib.suppress(OSError):
                    below.rmdir()
        folder.rmdir()


def _oom_kills(folder: Path) -> int:
    for name in ("memory.events", "memory.oom_control"):
        with contextlib.suppress(OSError, ValueError):
            fields = dict(line.split() for line in (folder / name).read_text().splitlines())
            return int(fields.get("oom_kill", 0))
    return 0


def _write(path: Path, number: int) -> None:
    path.write_text(str(number))


def cpus_for(limit: float | None) -> list[int] | None:
    """Return which CPUs an attempt may use that is limited by their number; None for all of them.

    The choice moves on from one to the next, so that attempts share no CPU before all are in use.
    """
    if limit is None or not hasattr(os, "sched_getaffinity"):
        return None
    cpus = sorted(os.sched_getaffinity(0))
    wanted = max(1, ceil(limit))
    if wanted >= len(cpus):
        return None
    start = next(_TURN) % len(cpus)
    return sorted((cpus + cpus)[start : start + wanted])
