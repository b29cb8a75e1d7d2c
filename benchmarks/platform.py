"""A platform on a real cluster with real pods, from nothing to Ready, step by step.

It is infra/onprem's program through the tests' engine on Pulumi's protocol, with images that are on the node already.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from benchmarks.measure import report

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.onprem import ROOT, door, engine, import_images, site
from support.onprem_users import caller, launch, outputs_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from support.onprem import Door, Site
    from support.pulumi.steps import Step

T = TypeVar("T")
GOAL = 180.0
_INSIDE = "--inside"
_CLUSTER = ("-m", "tools.kubernetes", "--run", ".cluster/bench")


def main() -> None:
    """Start a cluster, measure within its network, and remove it."""
    if _run(*_CLUSTER, "possible").returncode:
        print("SKIPPED: the platform on a cluster: none can be had here", flush=True)
        return
    try:
        _run(*_CLUSTER, "up").check_returncode()
        _run(*_CLUSTER, "exec", sys.executable, "-m", "benchmarks.platform", _INSIDE).check_returncode()
    finally:
        _run(*_CLUSTER, "down")


def _run(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, check=False)


def _within() -> None:
    import_images()
    with site() as place, tempfile.TemporaryDirectory() as folder:
        asyncio.run(_ready(Path(folder), place))


async def _ready(folder: Path, place: Site) -> None:
    async with door() as entry:
        await _measure(folder, place, entry)


async def _measure(folder: Path, place: Site, entry: Door) -> None:
    stack = engine(folder, place, entry)
    clock = Clock()
    stack.on_step = clock.step
    try:
        made = (await clock.timed("up", stack.up())).check()
        ready = clock.seconds
        async with caller(folder, entry) as client:
            began = await launch(client, "first", "arithmetic.total", made.outputs["arithmetic.total"], x=7)
            await clock.timed("two tasks in pods", outputs_of(client, began))
        await clock.timed("up again, with nothing to do", stack.up())
    finally:
        await clock.timed("destroy", stack.destroy())
    detail = f"{ready:.0f} s with images present, from nothing to all Ready and work registered"
    report("the platform Ready, as a share of the goal", ready / GOAL, goal="goal: below 1", detail=detail)


class Clock:
    """Prints what is done, and when."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._last: Step | None = None

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.perf_counter() - self._began

    def step(self, step: Step) -> None:
        """Print a resource that is made or removed."""
        if step is not self._last and step.operation != "same":
            kind = step.urn.split("::")[-2].rpartition("$")[2]
            print(f"{self.seconds:7.1f} s  {step.operation} {kind} {step.name}", flush=True)
        self._last = step

    async def timed(self, what: str, work: Awaitable[T]) -> T:
        """Print how long something took."""
        began = time.perf_counter()
        done = await work
        print(f"{self.seconds:7.1f} s  {what}: {time.perf_counter() - began:.1f} s", flush=True)
        return done


if __name__ == "__main__":
    if sys.argv[1:] != [_INSIDE]:
        sys.exit("python -m benchmarks platform starts the cluster that this runs in")
    _within()
