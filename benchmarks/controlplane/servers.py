"""What is measured: a control plane in a process of its own, and the floor of a call in another."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = resource.getpagesize()


@dataclass(frozen=True, slots=True)
class Server:
    """A gRPC server's address and its process."""

    address: str
    pid: int

    def cpu_seconds(self) -> float:
        """Return the processor time that the process has used, with what the kernel did for it."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_mib(self) -> float:
        """Return the memory that the process has now."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * PAGE_BYTES / 2**20


@contextmanager
def control_plane(folder: Path, database_url: str = "") -> Iterator[Server]:
    """Run one with its data below `folder`; SQLite there unless a URL is given."""
    command = [sys.executable, "-m", "flyteform_controlplane", "--state-dir", str(folder), "--log-level", "WARNING"]
    command += ["--grpc-port", "0", "--http-port", "0"]
    if database_url:
        command += ["--database-url", database_url]
    with _process(command) as process:
        line = _first_line(process)
        yield Server(line.partition("grpc=")[2].split()[0], process.pid)


@contextmanager
def empty_method() -> Iterator[Server]:
    """Run a grpc.aio server that answers nothing at once: the least that any method costs."""
    with _process([sys.executable, "-m", "benchmarks.controlplane.floor"]) as process:
        yield Server(_first_line(process).strip(), process.pid)


@contextmanager
def _process(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def _first_line(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise RuntimeError(f"the server ended with {process.wait()} before it served")
    return line
