"""All that can be registered and called, and what calls what."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from flyteform.authoring.graph import Branch, Gate
from flyteform.authoring.launch_plans import LaunchPlan
from flyteform.authoring.mapping import MapTask
from flyteform.authoring.references import ReferenceEntity
from flyteform.authoring.tasks import PythonTask
from flyteform.authoring.workflows import Workflow
from flyteform.errors import DefinitionError

if TYPE_CHECKING:
    from flyteform.authoring.graph import Graph

Entity = PythonTask | MapTask | Workflow | LaunchPlan


def dependencies(entity: Entity) -> tuple[Entity, ...]:
    """Return what an entity refers to directly, each once, in the order of its first use."""
    match entity:
        case PythonTask() | MapTask():
            return ()
        case LaunchPlan():
            return (entity.workflow,)
        case Workflow():
            return called(entity.graph)
        case _:
            assert_never(entity)


def entities(root: Entity) -> tuple[Entity, ...]:
    """Return an entity and all that it refers to, dependencies first, each once."""
    found: dict[tuple[str, str], Entity] = {}
    _visit(root, found, ())
    return tuple(found.values())


def called(graph: Graph) -> tuple[Entity, ...]:
    """Return what the nodes of a graph refer to directly, each once, in the order of its first use."""
    found: dict[tuple[str, str], Entity] = {}
    for node in graph.every_node():
        entity = node.entity
        if not isinstance(entity, ReferenceEntity | Gate | Branch):  # these have nothing to register
            known = found.setdefault(_key(entity), entity)
            _refuse_namesake(entity, known)
    return tuple(found.values())


def _key(entity: Entity) -> tuple[str, str]:
    # Map tasks of one task that differ only in their node's settings are registered as one.
    kind = "Task" if isinstance(entity, PythonTask | MapTask) else type(entity).__name__
    return kind, entity.name


def _visit(entity: Entity, found: dict[tuple[str, str], Entity], above: tuple[Entity, ...]) -> None:
    if entity in above:
        circle = " → ".join(one.name for one in (*above[above.index(entity) :], entity))
        raise DefinitionError(f"{entity.place}: workflows call each other in a circle: {circle}")
    known = found.get(_key(entity))
    if known is not None:
        _refuse_namesake(entity, known)
        return
    for one in dependencies(entity):
        _visit(one, found, (*above, entity))
    found[_key(entity)] = entity


def _refuse_namesake(entity: Entity, known: Entity) -> None:
    if entity is known or (isinstance(entity, MapTask) and isinstance(known, MapTask) and entity.task is known.task):
        return
    if isinstance(entity, LaunchPlan) and isinstance(known, LaunchPlan) and _same_plan(entity, known):
        return
    raise DefinitionError(
        f"{entity.place}: there are two different entities with the name {entity.name!r} (the other: {known.place})",
        remedy="rename one of them",
    )


def _same_plan(one: LaunchPlan, other: LaunchPlan) -> bool:
    fields = ("workflow", "default_inputs", "fixed_inputs", "schedule")
    return all(getattr(one, name) == getattr(other, name) for name in fields)
