"""flyteform: write workflows in Python, and provision them and the platform that runs them.

Importing this package loads next to nothing; each public name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyteform.authoring import (
        CronSchedule,
        FixedRate,
        LaunchPlan,
        Resources,
        Secret,
        WorkflowFailurePolicy,
        approve,
        conditional,
        current_context,
        dynamic,
        map_task,
        reference_launch_plan,
        reference_task,
        reference_workflow,
        sleep,
        task,
        wait_for_input,
        workflow,
    )
    from flyteform.errors import FlyteformError, RecoverableError
    from flyteform.types.errors import FlyteError

__version__ = "0.1.0"

__all__ = [
    "CronSchedule",
    "FixedRate",
    "FlyteError",
    "FlyteformError",
    "LaunchPlan",
    "RecoverableError",
    "Resources",
    "Secret",
    "WorkflowFailurePolicy",
    "approve",
    "conditional",
    "current_context",
    "dynamic",
    "map_task",
    "reference_launch_plan",
    "reference_task",
    "reference_workflow",
    "sleep",
    "task",
    "wait_for_input",
    "workflow",
]

_ELSEWHERE = {"FlyteError": "types.errors", "FlyteformError": "errors", "RecoverableError": "errors"}


def __getattr__(name: str) -> Any:
    """Load a public name from where it is defined."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"flyteform.{_ELSEWHERE.get(name, 'authoring')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return [*__all__, "__version__"]
