"""The frozen graph of a workflow: nodes, and the bindings that join them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flyteform.errors import DefinitionError

if TYPE_CHECKING:
    from datetime import timedelta

    from flyteform.authoring.entity import Entity
    from flyteform.authoring.resources import Resources
    from flyteform.types.family import TypeFamily

WORKFLOW_INPUTS = ""  # the node id by which Flyte's SDKs refer to the inputs of the workflow


@dataclass(frozen=True, slots=True)
class Reference:
    """An output of a node, or of the workflow's inputs; `path` leads to a part of it (`.a[0]` is `("a", 0)`)."""

    node_id: str
    output: str
    path: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is known when the workflow is declared."""

    value: Any
    family: TypeFamily


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of which at least one item is not known yet."""

    items: tuple[Binding, ...]


@dataclass(frozen=True, slots=True)
class MapOf:
    """A dictionary of which at least one value is not known yet; the entries are in order of key."""

    entries: tuple[tuple[str, Binding], ...]


Binding = Reference | Constant | ListOf | MapOf


@dataclass(frozen=True, slots=True)
class Overrides:
    """What one node changes of the task that it runs; None changes nothing."""

    name: str | None = None
    requests: Resources | None = None
    limits: Resources | None = None
    retries: int | None = None
    timeout: timedelta | None = None
    interruptible: bool | None = None
    container_image: str | None = None
    cache: bool | None = None
    cache_version: str | None = None
    cache_serialize: bool | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """One step: what it runs, from where its inputs come, and which nodes have to end before it starts.

    `after` holds the nodes ordered before it by `>>`; those that it reads from are in its bindings.
    """

    id: str
    entity: Entity
    bindings: tuple[tuple[str, Binding], ...]
    after: tuple[str, ...]
    overrides: Overrides
    place: str

    @property
    def upstream(self) -> tuple[str, ...]:
        """Ids of all nodes that have to end first, each once, those that it reads from before those of `>>`."""
        found = {node_id: None for _, binding in self.bindings for node_id in read_by(binding)}
        found.update(dict.fromkeys(self.after))
        return tuple(found)


def read_by(binding: Binding) -> tuple[str, ...]:
    """Return the ids of the nodes that a binding reads from, in order."""
    match binding:
        case Reference(node_id=node_id):
            return (node_id,) if node_id != WORKFLOW_INPUTS else ()
        case Constant():
            return ()
        case ListOf(items=items):
            return tuple(node_id for item in items for node_id in read_by(item))
        case MapOf(entries=entries):
            return tuple(node_id for _, item in entries for node_id in read_by(item))


@dataclass(frozen=True, slots=True)
class Graph:
    """The nodes of a workflow in the order in which they were called, and what its outputs are bound to."""

    nodes: tuple[Node, ...]
    outputs: tuple[tuple[str, Binding], ...]

    def in_order(self) -> tuple[Node, ...]:
        """Return the nodes so that each comes after all that it waits for; `DefinitionError` if none can be first."""
        waiting = {node.id: node for node in self.nodes}
        ordered: list[Node] = []
        while waiting:
            ready = [node for node in waiting.values() if not any(up in waiting for up in node.upstream)]
            if not ready:
                stuck = next(iter(waiting.values()))
                circle = " and ".join(waiting)
                raise DefinitionError(f"{stuck.place}: the nodes {circle} wait for each other", remedy="remove one >>")
            for node in ready:
                ordered.append(node)
                del waiting[node.id]
        return tuple(ordered)
