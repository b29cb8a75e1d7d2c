"""Calls to FlyteAdmin and milliseconds per resource: up, empty up, refresh and destroy of many resources."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import report

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from support.control_plane import control_plane
from support.pulumi.engine import Engine
from support.pulumi.proxies import Proxy, proxied

if TYPE_CHECKING:
    from collections.abc import Sequence

RESOURCES = 1000
GOAL_CALLS, GOAL_MS = 2, 5
OPERATIONS = ("up", "empty up", "refresh", "destroy")
_NOTHING = Path(__file__).parents[2] / "tests" / "support" / "pulumi" / "nothing.py"
_MODULE = """from flyteform import task, workflow


@task
def first(x: int) -> int:
    return x


{workflows}
"""
_WORKFLOW = """@workflow
def flow{number}(x: int = {number}) -> int:
    return first(x=x)


"""
_PROGRAM = """import flows
from flyteform.pulumi import LaunchPlan, Project, Workflow

project = Project("bench")
for number in range({count}):
    flow = Workflow(f"flow{{number}}", getattr(flows, f"flow{{number}}"), project=project, domain="development")
    LaunchPlan(f"plan{{number}}", flow, name=f"plan{{number}}", default_inputs={{"x": number}})
"""


def main() -> None:
    """Measure both providers in the same run and print the differences."""
    count = (RESOURCES - 2) // 3
    asyncio.run(_measure(count))


async def _measure(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with control_plane(Path(folder)) as client, proxied(client.config.endpoint) as proxy:
            ours = _engine(Path(folder) / "ours", count, proxy, None)
            nothing = _engine(Path(folder) / "nothing", count, proxy, (sys.executable, str(_NOTHING)))
            for operation in OPERATIONS:
                # One after the other, so that what else the machine does meets both alike.
                _report(operation, await _run(ours, operation, proxy), await _run(nothing, operation, proxy))


def _report(operation: str, ours: Measured, nothing: Measured) -> None:
    extra = (ours.seconds - nothing.seconds) * 1000 / ours.resources
    goal = f"goal: at most {GOAL_MS} ms and {GOAL_CALLS} calls" if operation == "empty up" else "no goal"
    report(
        f"Pulumi {operation}, ms per resource over a do-nothing provider",
        extra,
        goal=goal,
        detail=f"{ours.calls / ours.resources:.3f} calls to FlyteAdmin per resource; "
        f"{ours.resources} resources in {ours.seconds:.1f} s, {nothing.seconds:.1f} s with the do-nothing provider",
    )


@dataclass(frozen=True)
class Measured:
    """One operation of one stack."""

    seconds: float
    resources: int
    calls: int


def _engine(folder: Path, count: int, proxy: Proxy, command: Sequence[str] | None) -> Engine:
    folder.mkdir()
    workflows = "".join(_WORKFLOW.format(number=number) for number in range(count))
    (folder / "flows.py").write_text(_MODULE.format(workflows=workflows))
    (folder / "__main__.py").write_text(_PROGRAM.format(count=count))
    return Engine(
        folder,
        config={"flyteform:endpoint": proxy.endpoint},
        environment={"FLYTEFORM_BUNDLES": str(folder / "bundles")},
        command=command,
        saves_each_step=False,
    )


async def _run(engine: Engine, operation: str, proxy: Proxy) -> Measured:
    before, started = proxy.calls.total(), time.perf_counter()
    result = (await getattr(engine, operation.rsplit(maxsplit=1)[-1])()).check()
    return Measured(time.perf_counter() - started, len(result.steps), proxy.calls.total() - before)
