"""Workflows with all their sub-workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.admin import workflow_pb2 as admin_workflow_pb2
from flyteidl.core import workflow_pb2

from flyteform.authoring.entity import entities
from flyteform.authoring.workflows import Workflow
from flyteform.idl.bindings import bindings
from flyteform.idl.interfaces import typed_interface
from flyteform.idl.nodes import node_message
from flyteform.idl.tasks import description

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteidl.core.identifier_pb2 import Identifier

    from flyteform.authoring.entity import Entity


def workflow_spec(
    workflow: Workflow, identifier: Identifier, resolve: Callable[[Entity], Identifier]
) -> admin_workflow_pb2.WorkflowSpec:
    """Return the spec; `resolve` gives the registered ids of all that the workflow and its sub-workflows call."""
    return admin_workflow_pb2.WorkflowSpec(
        template=_template(workflow, identifier, resolve),
        sub_workflows=[_template(one, resolve(one), resolve) for one in _sub_workflows(workflow)],
        description=description(workflow.description),
    )


def _sub_workflows(workflow: Workflow) -> list[Workflow]:
    """Return the workflows that run inside of this one; those behind launch plans are executions of their own."""
    entities(workflow)  # refuses circles
    found: dict[Workflow, None] = {}
    waiting = [workflow]
    while waiting:
        for node in waiting.pop(0).graph.every_node():
            if isinstance(node.entity, Workflow) and node.entity not in found:
                found[node.entity] = None
                waiting.append(node.entity)
    return list(found)


def _template(
    workflow: Workflow, identifier: Identifier, resolve: Callable[[Entity], Identifier]
) -> workflow_pb2.WorkflowTemplate:
    failure_node = workflow.graph.failure_node
    return workflow_pb2.WorkflowTemplate(
        id=identifier,
        metadata=workflow_pb2.WorkflowMetadata(on_failure=workflow.failure_policy.value),
        metadata_defaults=workflow_pb2.WorkflowMetadataDefaults(interruptible=bool(workflow.interruptible)),
        interface=typed_interface(workflow.interface),
        nodes=[node_message(node, resolve) for node in workflow.nodes],
        outputs=bindings(workflow.outputs),
        failure_node=None if failure_node is None else node_message(failure_node, resolve),
    )
