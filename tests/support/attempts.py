"""Attempts for tests: descriptions of them, what was observed of them, and waiting for it."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flyteform_dataplane.ports import AttemptPhase, AttemptSpec, AttemptUpdate, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteform_dataplane.process.executor import ProcessExecutor

DEADLINE = 20.0
WARM = "warm-image"


async def until(condition: Callable[[], bool]) -> None:
    """Wait for the condition, or fail at the deadline."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - processes set no asyncio.Event
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def parent_of(pid: int) -> int:
    """Return the process id of the parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


@dataclass
class Run:
    """One attempt and what was observed of it."""

    executor: ProcessExecutor
    spec: AttemptSpec
    updates: list[AttemptUpdate] = field(default_factory=list)

    async def start(self) -> Run:
        """Start it."""
        await self.executor.start(self.spec, self.updates.append)
        return self

    async def running(self) -> AttemptUpdate:
        """Wait until it runs."""
        await until(lambda: bool(self.updates))
        return self.updates[0]

    async def end(self) -> AttemptUpdate:
        """Wait until it has ended, whichever way."""
        await until(lambda: any(update.phase is not AttemptPhase.RUNNING for update in self.updates))
        return self.updates[-1]

    @property
    def log(self) -> str:
        """What it has written so far."""
        return Path(self.updates[-1].log_uri.removeprefix("file://")).read_text()


@dataclass
class Bench:
    """Makes attempts on one executor."""

    executor: ProcessExecutor
    made: int = 0

    def warm(self, code: str, **given: object) -> Run:
        """Run Python code by a fork of a template."""
        return self.attempt("flyteform-execute", code, image=WARM, **given)

    def cold(self, code: str, **given: object) -> Run:
        """Run Python code in an interpreter that starts for it."""
        return self.attempt(sys.executable, "-c", code, **given)

    def attempt(
        self,
        *command: str,
        name: str = "",
        image: str = "any",
        environment: dict[str, str] | None = None,
        memory: int | None = None,
        cpu: float | None = None,
        requests: Limits | None = None,
    ) -> Run:
        """Describe an attempt."""
        self.made += 1
        spec = AttemptSpec(
            name or f"execution/n0/{self.made}",
            image,
            command,
            environment or {},
            requests or Limits(),
            Limits(cpu=cpu, memory=memory),
            "execution/task",
        )
        return Run(self.executor, spec)
