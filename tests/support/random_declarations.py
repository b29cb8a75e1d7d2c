"""Random declarations as text: what hypothesis draws, and the modules that say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

TASKS, WORKFLOWS, PLANS = ("alpha", "beta", "gamma"), ("one", "two"), ("p", "q", "r")
SCHEDULES = (
    'CronSchedule("0 3 * * *")',
    'CronSchedule("CRON_TZ=Europe/Berlin 5 4 * * 1")',
    "FixedRate(timedelta(hours=2))",
)
SETTINGS = (
    'TaskResources(defaults=Resources(cpu="1"), limits=Resources(cpu="4", mem="1Gi"))',
    "TaskResources(limits=Resources(cpu='8'))",
    'ExecutionQueues(["fast"])',
    'ExecutionSettings(max_parallelism=7, labels={"l": "m"})',
)
POLICIES = ('Concurrency(2, "WAIT")', 'Concurrency(1, "REPLACE")')
EXTRAS = (
    'labels={"k": "v"}',
    "max_parallelism=4",
    'notifications=[Email(["a@b.c"], ["FAILED"])]',
    'annotations={"a": "b"}, interruptible=True',
    "concurrency=Concurrency(3)",
    'description="about it"',
)


@dataclass(frozen=True)
class Plan:
    """A launch plan: of a workflow, with arguments as text."""

    name: str
    workflow: str
    default: int
    schedule: str | None
    active: bool
    extras: tuple[str, ...]


@dataclass(frozen=True)
class Declaration:
    """Tasks by name with their retries, workflows by name with the tasks that they call, launch plans, settings."""

    description: str | None
    label: str | None
    tasks: tuple[tuple[str, int], ...]
    workflows: tuple[tuple[str, tuple[str, ...]], ...]
    plans: tuple[Plan, ...]
    settings: tuple[str, ...]

    def write(self, folder: Path, project: str) -> Path:
        """Write the modules, and return the declaration among them."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "jobs.py").write_text(self._jobs())
        (folder / "declared.py").write_text(self._declared(project))
        return folder / "declared.py"

    def _jobs(self) -> str:
        lines = ["from flyteform import task, workflow\n"]
        for name, retries in self.tasks:
            lines.append(f"\n\n@task(retries={retries})\ndef {name}(x: int) -> int:\n    return x\n")
        for name, called in self.workflows:
            body = "".join(f"    x{index + 1} = {task}(x=x{index or ''})\n" for index, task in enumerate(called))
            lines.append(f"\n\n@workflow\ndef {name}(x: int = 1) -> int:\n{body}    return x{len(called)}\n")
        return "".join(lines)

    def _declared(self, project: str) -> str:
        names = [name for name, _ in (*self.tasks, *self.workflows)]
        said = {"description": self.description, "labels": None if self.label is None else {"team": self.label}}
        given = "".join(f", {key}={value!r}" for key, value in said.items() if value is not None)
        lines = [
            "from datetime import timedelta",
            "from flyteform import CronSchedule, FixedRate, Resources",
            "from flyteform.provision import *",
            *([f"from jobs import {', '.join(names)}"] if names else []),
            f"here = Project({project!r}{given})",
            *(f"Task({name}, project=here)" for name, _ in self.tasks),
            *(f"{name}_ = Workflow({name}, project=here)" for name, _ in self.workflows),
            *(f'Settings({value}, project=here, domain="development")' for value in self.settings),
        ]
        for plan in self.plans:
            more = "".join(f", {extra}" for extra in plan.extras)
            schedule = f", schedule={plan.schedule}" if plan.schedule else ""
            lines.append(
                f'LaunchPlan({plan.workflow}_, name="{plan.name}", active={plan.active}, '
                f'default_inputs={{"x": {plan.default}}}{schedule}{more})'
            )
        return "\n".join(lines) + "\n"


@st.composite
def declarations(draw: st.DrawFn, *, policies: bool) -> Declaration:
    """Draw a declaration; with `policies` also those that a stock FlyteAdmin lacks."""
    tasks = tuple((name, draw(st.integers(0, 2))) for name in draw(_some(TASKS)))
    names = [name for name, _ in tasks]
    workflows = tuple(
        (name, tuple(draw(st.lists(st.sampled_from(names), min_size=1, max_size=3))))
        for name in (draw(_some(WORKFLOWS)) if names else ())
    )
    extras = (*EXTRAS[:4], EXTRAS[5], *(f"concurrency={each}" for each in POLICIES if policies))
    plans = tuple(
        Plan(
            name,
            draw(st.sampled_from([name for name, _ in workflows])),
            draw(st.integers(0, 2)),
            draw(st.none() | st.sampled_from(SCHEDULES)),
            draw(st.booleans()),
            _one_concurrency(draw(_some(extras))),
        )
        for name in (draw(_some(PLANS)) if workflows else ())
    )
    return Declaration(
        draw(st.none() | st.sampled_from(("a", "b"))),
        draw(st.none() | st.sampled_from(("a", "b"))),
        tasks,
        workflows,
        plans,
        _one_of_each(draw(_some(SETTINGS))),
    )


def _some(values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.sets(st.sampled_from(values)).map(lambda chosen: tuple(sorted(chosen)))


def _one_concurrency(extras: tuple[str, ...]) -> tuple[str, ...]:
    limits = [each for each in extras if each.startswith("concurrency")]
    return tuple(each for each in extras if each not in limits[1:])


def _one_of_each(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple({value.partition("(")[0]: value for value in values}.values())
