"""Tells people when a schedule has fired and how its execution ended."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from flyteidl.admin import execution_pb2
from flyteidl.core import execution_pb2 as core_execution_pb2
from rich.console import Console

from flyteform.client.admin import connect
from flyteform.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteform.client.config import ClientConfig

LOOK_SECONDS = 1.0
Phase = core_execution_pb2.WorkflowExecution


async def announce_firings(config: ClientConfig, launch_plan: str) -> None:
    """Print a line when a scheduled execution of this launch plan begins and another when it ends, until cancelled."""
    console = Console(highlight=False)
    phases: dict[str, int] = {}
    async with connect(config) as client:
        while True:
            with suppress(UnavailableError):
                found = [each async for each in client.list_executions(config.project, config.domain, newest=20)]
                for line in _news(found, launch_plan, phases):
                    console.print(line, soft_wrap=True, markup=False)
            await asyncio.sleep(LOOK_SECONDS)


def _news(found: Iterable[execution_pb2.Execution], launch_plan: str, phases: dict[str, int]) -> list[str]:
    """Return what has changed since the last look, and remember it."""
    lines = []
    for execution in found:
        scheduled = execution.spec.metadata.mode == execution_pb2.ExecutionMetadata.SCHEDULED
        if not scheduled or execution.spec.launch_plan.name != launch_plan:
            continue
        name, phase = execution.id.name, execution.closure.phase
        if name not in phases:
            at = execution.spec.metadata.scheduled_at.ToDatetime()
            lines.append(f"the schedule fired at {at:%H:%M:%S} UTC: execution {name}")
        elif phase != phases[name] and phase in _ENDED:
            seconds = execution.closure.duration.ToTimedelta().total_seconds()
            lines.append(f"execution {name} {Phase.Phase.Name(phase)} in {seconds:.1f} s")
        phases[name] = phase
    return lines


_ENDED = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.ABORTED, Phase.TIMED_OUT})
