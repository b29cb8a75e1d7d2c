"""The processes of this machine and what they use, as /proc tells."""
# pathlib is several times slower, and these scans are on the way of every attempt that is stopped.
# ruff: noqa: PTH112, PTH123, PTH208

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclasses.dataclass(frozen=True)
class Process:
    """One row of /proc; `born` is its start time in clock ticks, which makes a reused pid another process."""

    pid: int
    state: str
    parent: int
    group: int
    session: int
    born: str

    @property
    def alive(self) -> bool:
        """Whether it is more than a zombie."""
        return self.state not in "ZX"


def processes() -> dict[int, Process]:
    """Return all processes that can be seen; empty where there is no /proc."""
    found = {}
    for entry in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if entry.isdigit():
            process = _process_of(int(entry))
            if process is not None:
                found[process.pid] = process
    return found


def descendants(root: int, table: Mapping[int, Process]) -> set[int]:
    """Return the children of `root`, their children, and so on."""
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    waiting = [root]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            if pid not in found:
                found.add(pid)
                waiting.append(pid)
    return found


def variable_of(pid: int, name: str) -> str | None:
    """Return what the environment variable was when the process began its program."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return None
    prefix = name.encode() + b"="
    return next((entry[len(prefix) :].decode(errors="replace") for entry in entries if entry.startswith(prefix)), None)


def resident(pid: int) -> int:
    """Return the bytes of the process's own memory: what it maps of files and shares by name does not count."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            fields = file.read().split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * _PAGE


def proportional(pid: int) -> int:
    """Return the bytes of the process's own memory, shared pages divided by their sharers: exact, but slower."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        for line in file:
            if line.startswith(b"Pss_Anon:"):
                return int(line.split()[1]) * 1024
    return resident(pid)


def _process_of(pid: int) -> Process | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name before it may hold blanks and brackets
    return Process(pid, fields[0], int(fields[1]), int(fields[2]), int(fields[3]), fields[19])
