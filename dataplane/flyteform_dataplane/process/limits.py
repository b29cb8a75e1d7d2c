"""What this machine has, and what to say of an attempt that asks for more."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flyteform_dataplane.ports import Limits

_UNITS = (("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10))


@dataclass(frozen=True, slots=True)
class Machine:
    """What attempts may share: cores, bytes of memory, GPUs."""

    cpus: int
    memory: int
    gpus: int

    @classmethod
    def this(cls) -> Machine:
        """Describe the machine that this process runs on."""
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return cls(cpus, memory, len(list(Path("/dev").glob("nvidia[0-9]*"))))


def shortfalls(requests: Limits, machine: Machine) -> tuple[str, ...]:
    """Return one sentence for each request that the machine can't meet."""
    found = []
    if requests.cpu is not None and requests.cpu > machine.cpus:
        found.append(f"it requests {requests.cpu:g} CPUs, this machine has {machine.cpus}")
    if requests.memory is not None and requests.memory > machine.memory:
        found.append(f"it requests {quantity(requests.memory)} of memory, this machine has {quantity(machine.memory)}")
    if requests.gpu > machine.gpus:
        found.append(f"it requests {requests.gpu} GPU, this machine has {machine.gpus or 'none'}")
    return tuple(found)


def quantity(size: int) -> str:
    """Write bytes as Kubernetes does: 536870912 is 512Mi."""
    unit, factor = next(((unit, factor) for unit, factor in _UNITS if size >= factor), ("", 1))
    return f"{round(size / factor, 1):g}{unit}"
