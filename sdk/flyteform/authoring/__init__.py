"""Tasks, workflows and launch plans as frozen definitions; names are loaded when they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyteform.authoring.branches import conditional
    from flyteform.authoring.context import Checkpoint, TaskContext, current_context
    from flyteform.authoring.dynamics import dynamic
    from flyteform.authoring.entity import Entity, dependencies, entities
    from flyteform.authoring.gates import approve, sleep, wait_for_input
    from flyteform.authoring.launch_plans import LaunchPlan
    from flyteform.authoring.loading import LoadedModule, load_module
    from flyteform.authoring.mapping import MapTask, map_task
    from flyteform.authoring.references import (
        ReferenceEntity,
        reference_launch_plan,
        reference_task,
        reference_workflow,
    )
    from flyteform.authoring.resources import Resources
    from flyteform.authoring.schedules import CronSchedule, FixedRate, Schedule
    from flyteform.authoring.secrets import Secret, Secrets
    from flyteform.authoring.tasks import PythonTask, TaskSettings, task
    from flyteform.authoring.workflows import Workflow, WorkflowFailurePolicy, workflow

__all__ = [
    "Checkpoint",
    "CronSchedule",
    "Entity",
    "FixedRate",
    "LaunchPlan",
    "LoadedModule",
    "MapTask",
    "PythonTask",
    "ReferenceEntity",
    "Resources",
    "Schedule",
    "Secret",
    "Secrets",
    "TaskContext",
    "TaskSettings",
    "Workflow",
    "WorkflowFailurePolicy",
    "approve",
    "conditional",
    "current_context",
    "dependencies",
    "dynamic",
    "entities",
    "load_module",
    "map_task",
    "reference_launch_plan",
    "reference_task",
    "reference_workflow",
    "sleep",
    "task",
    "wait_for_input",
    "workflow",
]

_MODULES = {
    "branches": "conditional",
    "context": "Checkpoint TaskContext current_context",
    "dynamics": "dynamic",
    "entity": "Entity dependencies entities",
    "gates": "approve sleep wait_for_input",
    "launch_plans": "LaunchPlan",
    "loading": "LoadedModule load_module",
    "mapping": "MapTask map_task",
    "references": "ReferenceEntity reference_launch_plan reference_task reference_workflow",
    "resources": "Resources",
    "schedules": "CronSchedule FixedRate Schedule",
    "secrets": "Secret Secrets",
    "tasks": "PythonTask TaskSettings task",
    "workflows": "Workflow WorkflowFailurePolicy workflow",
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    import importlib

    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
