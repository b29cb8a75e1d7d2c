"""Processes told apart by more than their numbers: a number is given again, to somebody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# The state of a process that has ended and that nobody has asked about.
_ENDED = "ZX"
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Process:
    """A process: its number, and when it began, in the words of this machine."""

    pid: int
    began: str

    @property
    def runs(self) -> bool:
        """Whether it has not ended: another one of the same number is not it."""
        return _began(self.pid) == self.began

    def send(self, number: signal.Signals) -> bool:
        """Send it a signal, and never to another; False if it has ended. `PermissionError` if it is somebody else's."""
        if sys.platform != "linux":
            return self.runs and _sent(self.pid, number)
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        except OSError:  # a kernel without it
            return self.runs and _sent(self.pid, number)
        try:
            # Whoever the descriptor stands for cannot change any more between the question and the signal.
            if not self.runs:
                return False
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
                return True
            return False
        finally:
            os.close(descriptor)


def this_process() -> Process:
    """Return the process that asks."""
    pid = os.getpid()
    return Process(pid, _began(pid))


def _sent(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _began(pid: int) -> str:
    """Return when a process began, "" if there is none that runs."""
    return _began_by_proc(pid) if Path("/proc/self/stat").exists() else _began_by_ps(pid)


def _began_by_proc(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        boot = _BOOT.read_text().strip() if _BOOT.exists() else ""
    except OSError:
        return ""
    # proc(5): the name is in brackets and may hold anything; the third field is the state, the 22nd the beginning.
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in _ENDED else f"{boot}/{fields[19]}"


def _began_by_ps(pid: int) -> str:
    words = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    found = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - a number is all of it
    status, _, began = found.stdout.strip().partition(" ")
    return "" if not status or status[0] in _ENDED else began.strip()
