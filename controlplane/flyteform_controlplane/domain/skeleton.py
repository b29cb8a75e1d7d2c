"""The workflow and launch plan that stand for a task that is executed by itself (contract 1.4)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flyteidl.admin.launch_plan_pb2 import LaunchPlanSpec
from flyteidl.admin.workflow_pb2 import WorkflowSpec
from flyteidl.core.identifier_pb2 import Identifier, ResourceType
from flyteidl.core.literals_pb2 import Binding, BindingData
from flyteidl.core.types_pb2 import OutputReference
from flyteidl.core.workflow_pb2 import Node, NodeMetadata, TaskNode, WorkflowTemplate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteidl.core.tasks_pb2 import TaskTemplate

PREFIX = ".flytegen."
_MAX_NODE_ID = 63


def skeleton_identifier(task: Identifier, resource_type: ResourceType) -> Identifier:
    """Return the identifier of the workflow or launch plan that runs only this task."""
    return Identifier(
        resource_type=resource_type,
        project=task.project,
        domain=task.domain,
        name=PREFIX + task.name,
        version=task.version,
    )


def skeleton_workflow(template: TaskTemplate) -> WorkflowSpec:
    """Return a workflow with the task's interface and one node, which runs the task."""
    node_id = _node_id(template.id.name)
    workflow = WorkflowTemplate(
        id=skeleton_identifier(template.id, ResourceType.WORKFLOW),
        interface=template.interface,
        nodes=[
            Node(
                id=node_id,
                metadata=NodeMetadata(name=node_id),
                inputs=_bindings("", template.interface.inputs.variables),
                task_node=TaskNode(reference_id=template.id),
            )
        ],
        outputs=_bindings(node_id, template.interface.outputs.variables),
    )
    return WorkflowSpec(template=workflow)


def skeleton_launch_plan(task: Identifier) -> LaunchPlanSpec:
    """Return the launch plan of that workflow: nothing is bound, so every input of the task is required."""
    return LaunchPlanSpec(workflow_id=skeleton_identifier(task, ResourceType.WORKFLOW))


def _node_id(task_name: str) -> str:
    kept = re.sub(r"[^A-Za-z0-9-]", "", task_name[-_MAX_NODE_ID:]).lstrip("-")
    return kept or "task"


def _bindings(node_id: str, names: Iterable[str]) -> list[Binding]:
    return [
        Binding(var=name, binding=BindingData(promise=OutputReference(node_id=node_id, var=name)))
        for name in sorted(names)
    ]
