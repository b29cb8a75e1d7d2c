"""The semantic difference of two versions of one task, workflow or launch plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteidl.admin import launch_plan_pb2, task_pb2, workflow_pb2

from flyteform.provision.impact.launch_plans import launch_plan_differences
from flyteform.provision.impact.tasks import task_differences
from flyteform.provision.impact.workflows import called_versions, workflow_differences
from flyteform.provision.model import FieldChange, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flyteidl.core import compiler_pb2, tasks_pb2
    from flyteidl.core import workflow_pb2 as core_workflow

    from flyteform.provision.model import Entity


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """A task as it is written."""

    template: tasks_pb2.TaskTemplate


@dataclass(frozen=True, slots=True)
class WorkflowDefinition:
    """A workflow with the workflows that run inside of it."""

    template: core_workflow.WorkflowTemplate
    sub_workflows: tuple[core_workflow.WorkflowTemplate, ...] = ()


@dataclass(frozen=True, slots=True)
class LaunchPlanDefinition:
    """A launch plan as it is written."""

    spec: launch_plan_pb2.LaunchPlanSpec


Definition = TaskDefinition | WorkflowDefinition | LaunchPlanDefinition


def wanted(entity: Entity) -> Definition:
    """Return the definition of a declared entity."""
    match entity.address.kind:
        case Kind.TASK:
            return TaskDefinition(task_pb2.TaskSpec.FromString(entity.spec).template)
        case Kind.WORKFLOW:
            spec = workflow_pb2.WorkflowSpec.FromString(entity.spec)
            return WorkflowDefinition(spec.template, tuple(spec.sub_workflows))
        case _:
            return LaunchPlanDefinition(launch_plan_pb2.LaunchPlanSpec.FromString(entity.spec))


def compiled_workflow(closure: compiler_pb2.CompiledWorkflowClosure) -> WorkflowDefinition:
    """Return the definition of a registered workflow."""
    return WorkflowDefinition(closure.primary.template, tuple(each.template for each in closure.sub_workflows))


def differences_of(before: Definition, after: Definition) -> tuple[FieldChange, ...]:
    """Return every difference, nothing for a definition and itself.

    Of a sub-workflow it is said that another version is called: what differs in it is a change of its own.
    """
    match before, after:
        case TaskDefinition(), TaskDefinition():
            return task_differences(before.template, after.template)
        case LaunchPlanDefinition(), LaunchPlanDefinition():
            return launch_plan_differences(before.spec, after.spec)
        case WorkflowDefinition(), WorkflowDefinition():
            return (*workflow_differences(before.template, after.template), *_call_differences(before, after))
        case _:
            return ()


def _call_differences(before: WorkflowDefinition, after: WorkflowDefinition) -> Iterator[FieldChange]:
    old, new = called_versions(before.template), called_versions(after.template)
    for path in sorted(old.keys() | new.keys()):
        if old.get(path) != new.get(path):
            yield FieldChange(path, old.get(path), new.get(path))
