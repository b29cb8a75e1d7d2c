"""What a dynamic task made while it ran, as the futures that the engine goes on with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core import dynamic_job_pb2, identifier_pb2

from flyteform.authoring.entity import Entity, called, dependencies
from flyteform.authoring.launch_plans import LaunchPlan
from flyteform.authoring.mapping import MapTask
from flyteform.authoring.tasks import PythonTask
from flyteform.authoring.workflows import Workflow
from flyteform.errors import DefinitionError
from flyteform.idl.bindings import bindings
from flyteform.idl.nodes import node_message
from flyteform.idl.tasks import task_spec
from flyteform.idl.workflows import workflow_spec

if TYPE_CHECKING:
    from flyteform.authoring.graph import Graph
    from flyteform.idl.tasks import Placement


def futures(
    task: PythonTask, graph: Graph, own: identifier_pb2.Identifier, placement: Placement
) -> dynamic_job_pb2.DynamicJobSpec:
    """Return the futures of a dynamic task's graph: its nodes with all tasks and workflows that they need.

    These bear the version of the dynamic task, `own`: its code is theirs. `DefinitionError` for a launch plan, whose
    version is not known here.
    """
    everything = _called(task, graph)

    def resolve(entity: Entity) -> identifier_pb2.Identifier:
        kind = identifier_pb2.WORKFLOW if isinstance(entity, Workflow) else identifier_pb2.TASK
        return identifier_pb2.Identifier(
            resource_type=kind, project=own.project, domain=own.domain, name=entity.name, version=own.version
        )

    specs = [
        task_spec(each, resolve(each), placement).template
        for each in everything
        if isinstance(each, PythonTask | MapTask)
    ]
    workflows = [
        workflow_spec(each, resolve(each), resolve).template for each in everything if isinstance(each, Workflow)
    ]
    return dynamic_job_pb2.DynamicJobSpec(
        min_successes=len(graph.nodes),
        tasks=specs,
        nodes=[node_message(node, resolve) for node in graph.nodes],
        outputs=bindings(graph.outputs),
        subworkflows=workflows,
    )


def _called(task: PythonTask, graph: Graph) -> tuple[Entity, ...]:
    """Return all that the graph runs, each once."""
    found: dict[int, Entity] = {}
    waiting = list(called(graph))
    while waiting:
        entity = waiting.pop(0)
        if isinstance(entity, LaunchPlan):
            raise DefinitionError(
                f"{task.place}: {task.subject} calls {entity.subject}, whose version is not known when it runs",
                remedy="declare it with reference_launch_plan, which names a version",
            )
        if id(entity) not in found:
            found[id(entity)] = entity
            waiting.extend(dependencies(entity))
    return tuple(found.values())
