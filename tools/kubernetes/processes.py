"""Programs that run in the background: started once, found again by what is written in the cluster's folder."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from tools.kubernetes.settings import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tools.kubernetes.settings import Cluster

_PAUSE = 0.05
_PATIENCE = 10.0
_LAST_LINES = 5


class Processes:
    """The background programs of one cluster; a pid counts only together with its start time, as pids come again."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._pids = cluster.run / "pids"
        self._logs = cluster.run / "logs"

    def start(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> None:
        """Start a program in the cluster's network, unless it runs."""
        if self.running(name):
            return
        self._pids.mkdir(exist_ok=True)
        self._logs.mkdir(exist_ok=True)
        with (self._logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*map(str, entered(self._cluster, command))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._cluster.run,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        process.returncode = 0  # nobody waits for it here: it lasts longer than this process
        (self._pids / name).write_text(f"{process.pid} {started(process.pid)}")

    def running(self, name: str) -> bool:
        """Whether the program that was started under this name still runs."""
        return self._pid(name) is not None

    def names(self) -> list[str]:
        """Return the programs that were started, in order."""
        found = sorted(self._pids.iterdir(), key=lambda path: path.stat().st_mtime_ns) if self._pids.exists() else []
        return [path.name for path in found]

    def stop(self, name: str) -> None:
        """End a program: asked first, killed after ten seconds."""
        for sent in (signal.SIGTERM, signal.SIGKILL):
            pid = self._pid(name)
            if pid is not None:
                os.kill(pid, sent)
                self._wait_for_end(name, pid)
        (self._pids / name).unlink(missing_ok=True)

    def wait(self, what: str, seconds: float, condition: Callable[[], bool], *, by: str) -> None:
        """Wait for a condition that the program `by` brings about; its log's end is in the error."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline or not self.running(by):
                log = (self._logs / f"{by}.log").read_text(errors="replace").splitlines()
                end = "\n".join(log[-_LAST_LINES:])
                raise ClusterError(f"{what}: not so within {seconds:.0f} s; {by} said last:\n{end}")
            time.sleep(_PAUSE)

    def _wait_for_end(self, name: str, pid: int) -> None:
        deadline = time.monotonic() + _PATIENCE
        while self._pid(name) is not None and time.monotonic() < deadline:
            _reap(pid)
            time.sleep(_PAUSE)

    def _pid(self, name: str) -> int | None:
        try:
            pid, began = (self._pids / name).read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid) if started(int(pid)) == began else None


def entered(cluster: Cluster, command: Sequence[str | Path]) -> list[str | Path]:
    """Return the command as it runs in the cluster's network; only that is entered, files and cgroups stay."""
    if not cluster.namespace:
        return list(command)
    return ["nsenter", f"--net=/var/run/netns/{cluster.namespace}", *command]


def started(pid: int) -> str:
    """Return when a process started, as the kernel counts; empty if there is none, or only its remains."""
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 - a kernel's file
            fields = stat.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return  # another process started it
