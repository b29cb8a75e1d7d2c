"""What the control plane is to be compared with: a Go FlyteAdmin's figures, from another run on another machine.

They give an orientation, no result: its load generator was a Go program, ours is Python on the same cores as the
server. What can be compared within one run are the ratios to the floors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

CLIENTS = 16


@dataclass(frozen=True, slots=True)
class Goal:
    """Go's calls per second with `CLIENTS` clients on PostgreSQL, how many times that ours shall be, and Go's CPU time.

    `cpu` is per call, in ms; None where it is not known.
    """

    rate: float
    times: float
    cpu: float | None = None


_READ, _WRITE, _LIST, _LAUNCH, _BATCH = 1.0, 2.0, 5.0, 4.0, 10.0
GOALS = {
    "GetTask": Goal(2999, _READ, 0.23),
    "GetExecution": Goal(2402, _READ, 0.30),
    "ListTasks": Goal(209, _LIST, 3.0),
    "ListExecutions": Goal(189, _LIST, 3.3),
    "CreateTask": Goal(609, _WRITE, 1.2),
    "CreateWorkflow": Goal(281, _WRITE, 3.0),
    "CreateLaunchPlan": Goal(690, _WRITE),
    "CreateExecution": Goal(101, _LAUNCH, 8.2),
    "CreateNodeEvent": Goal(473, _WRITE, 1.4),
    "CreateTaskEvent": Goal(866, _WRITE, 0.87),
    "events": Goal(866, _BATCH, 0.87),
}


def report_goals(rates: Mapping[str, float], cpu: Mapping[str, float]) -> None:
    """Print, by a subject's name, ours in times of Go's; `cpu` is the server's time per call in ms."""
    print(
        f"\nfor orientation, {CLIENTS} clients on PostgreSQL in times of Go's figures, taken elsewhere on 2 such cores:"
    )
    for name, rate in rates.items():
        goal = GOALS.get(name.split()[0])
        if goal is None:
            continue
        line = f"{name:26} {rate / goal.rate:6.2f} x its {goal.rate:5.0f}/s (goal {goal.times:2.0f})"
        if goal.cpu is not None:
            line += f"   CPU per call {cpu[name] / goal.cpu:5.2f} x its {goal.cpu:4.2f} ms"
        print(line, flush=True)
