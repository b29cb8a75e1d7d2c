"""Running attempts: which processes are theirs, what memory they use, and how nothing of them is left."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import time
from typing import TYPE_CHECKING

from .proctable import descendants, processes, proportional, resident, variable_of
from .system import kill

if TYPE_CHECKING:
    from collections.abc import Collection

ATTEMPT_VARIABLE = "FLYTEFORM_ATTEMPT"  # an attempt's name, in the environment of all that it starts
KILL_DEADLINE = 2.0  # seconds after which a process that SIGKILL does not end is given up


@dataclasses.dataclass
class Child:
    """A running attempt: its first process, and why and when it will be killed."""

    name: str
    pid: int
    memory: int | None
    cwd: str
    cause: str = ""
    kill_at: float | None = None
    members: set[tuple[int, str]] = dataclasses.field(default_factory=set)

    def tree(self) -> set[int]:
        """Return the attempt's processes, also those that left its session or lost their parents."""
        table = processes()
        mine = descendants(os.getpid(), table)
        found = {self.pid} | descendants(self.pid, table)
        for pid in mine - found:
            process = table[pid]
            if (
                self.pid in (process.group, process.session)
                or (pid, process.born) in self.members
                or variable_of(pid, ATTEMPT_VARIABLE) == self.name
            ):
                found |= {pid} | descendants(pid, table)
        alive = {pid for pid in found if pid in table and table[pid].alive}
        self.members |= {(pid, table[pid].born) for pid in alive}
        return alive

    def signal(self, number: int) -> None:
        """Send a signal to all of its processes."""
        for pid in self.tree():
            kill(pid, number)

    def stop(self, grace: float, now: float) -> None:
        """Ask it to end, and have it killed `grace` seconds after `now`."""
        if self.kill_at is None:
            self.cause = self.cause or "stopped"
            self.kill_at = now + grace
            self.signal(signal.SIGTERM)

    def weigh(self, now: float, *, whole: bool) -> None:
        """Have it killed if its first process, or the `whole` tree, uses more memory than it may."""
        if not self.memory or self.cause == "memory":
            return
        members = self.tree() if whole else {self.pid}
        used = sum(map(resident, members))
        if used > self.memory:
            used = sum(map(proportional, members))
        if used > self.memory:
            self.cause, self.kill_at = "memory", now

    def kill_rest(self) -> None:
        """Kill what is left after the end of its first process."""
        deadline = time.monotonic() + KILL_DEADLINE
        while time.monotonic() < deadline:
            rest = self.tree()
            if not rest:
                return
            for pid in rest:
                kill(pid, signal.SIGKILL)
            time.sleep(0.002)


def sweep(children: Collection[Child], known: Collection[int]) -> bool:
    """Kill what attempts that have ended left behind: it came to this process when its parents died.

    The processes `known` are no such. Returns whether some is left that may belong to an attempt which still runs.
    """
    table = processes()
    names, pids = {child.name for child in children}, {child.pid for child in children}
    left = False
    for process in list(table.values()):
        if process.parent == os.getpid() and process.pid not in known and process.alive:
            owner = variable_of(process.pid, ATTEMPT_VARIABLE)
            if (owner is None and names) or owner in names or process.session in pids:
                left = True
                continue
            for pid in {process.pid} | descendants(process.pid, table):
                kill(pid, signal.SIGKILL)
    return left


def children_of_this() -> set[int]:
    """Return the children of this process, attempts or left by one; {0} where that cannot be seen and there are any."""
    pid = os.getpid()
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:  # noqa: PTH123 - pathlib is several times slower
            return set(map(int, file.read().split()))
    except OSError:
        pass
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return set()
    return {0}


def end_all(children: Collection[Child]) -> None:
    """Kill everything that this process has started, directly or not."""
    deadline = time.monotonic() + KILL_DEADLINE
    while time.monotonic() < deadline:
        for pid in {child.pid for child in children} | descendants(os.getpid(), processes()):
            kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
            time.sleep(0.002)
            continue
        return
