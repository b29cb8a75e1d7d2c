"""Finds and ends processes that an earlier run of this data plane started and could not end any more."""

from __future__ import annotations

import os
import signal
import time

from flyteform_dataplane.process.template.children import KILL_DEADLINE
from flyteform_dataplane.process.template.proctable import descendants, processes, variable_of
from flyteform_dataplane.process.template.system import kill

# Every process of this data plane has in its environment, and so passes on, whose it is.
OWNER_VARIABLE = "FLYTEFORM_OWNER"


def owned(owner: str) -> set[int]:
    """Return the processes whose owner begins with `owner`, and all that they have started."""
    table = processes()
    found: set[int] = set()
    for process in table.values():
        if process.alive and (variable_of(process.pid, OWNER_VARIABLE) or "").startswith(owner):
            found |= {process.pid} | descendants(process.pid, table)
    return {pid for pid in found if table[pid].alive} - {os.getpid()}


def end_owned(owner: str) -> int:
    """Kill them until none is left, and return how many there were."""
    ended: set[int] = set()
    deadline = time.monotonic() + KILL_DEADLINE
    while (rest := owned(owner)) and time.monotonic() < deadline:
        for pid in rest:
            kill(pid, signal.SIGKILL)
        ended |= rest
        time.sleep(0.005)
    return len(ended)
