"""The frozen graph of a workflow: nodes, and the bindings that join them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flyteform.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from flyteform.authoring.conditions import Condition
    from flyteform.authoring.entity import Entity
    from flyteform.authoring.references import ReferenceEntity
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
class Gate:
    """A wait: for an approval of a value, for a value of the type `family`, or, with a `duration`, for time to pass.

    `output` is what the approved or given value is called, empty where there is none. After `timeout` it fails.
    """

    name: str
    timeout: timedelta
    output: str = ""
    family: TypeFamily | None = None
    duration: timedelta | None = None
    approves: bool = False

    @property
    def short_name(self) -> str:
        """Its name."""
        return self.name

    @property
    def subject(self) -> str:
        """What messages call it."""
        return f"gate {self.name!r}"


@dataclass(frozen=True, slots=True)
class Case:
    """One way of a branch: the node to run if the condition holds, whose operands are references and constants."""

    condition: Condition
    node: Node


@dataclass(frozen=True, slots=True)
class Branch:
    """A choice: the node of the first case that holds, else `otherwise`, else the failure `error`.

    Its nodes have ids of their own and read from the nodes around the branch. `outputs` are those that all give.
    """

    name: str
    cases: tuple[Case, ...]
    otherwise: Node | None
    error: str
    outputs: tuple[str, ...]

    @property
    def short_name(self) -> str:
        """Its name."""
        return self.name

    @property
    def subject(self) -> str:
        """What messages call it."""
        return f"conditional {self.name!r}"

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of the cases, the else's last."""
        last = () if self.otherwise is None else (self.otherwise,)
        return (*(case.node for case in self.cases), *last)


@dataclass(frozen=True, slots=True)
class Node:
    """One step: what it runs, from where its inputs come, and which nodes have to end before it starts.

    `after` holds the nodes ordered before it by `>>`; those that it reads from are in its bindings.
    """

    id: str
    entity: Entity | ReferenceEntity | Gate | Branch
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

    @property
    def waits_for(self) -> tuple[str, ...]:
        """Ids of all nodes that have to end first, those that the nodes of a branch need included."""
        inside = self.entity.nodes if isinstance(self.entity, Branch) else ()
        return (*self.upstream, *(node_id for node in inside for node_id in node.waits_for))


def operand_name(reference: Reference) -> str:
    """Return the name by which a condition knows a value: Flyte's SDK names the node and its output."""
    return ".".join((reference.node_id, reference.output, *map(str, reference.path)))


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
    failure_node: Node | None = None

    def every_node(self) -> Iterator[Node]:
        """Yield all nodes, those inside of branches and the one that runs after a failure included."""
        waiting = [*self.nodes, *([self.failure_node] if self.failure_node is not None else ())][::-1]
        while waiting:
            node = waiting.pop()
            yield node
            if isinstance(node.entity, Branch):
                waiting.extend(reversed(node.entity.nodes))

    def in_order(self) -> tuple[Node, ...]:
        """Return the nodes so that each comes after all that it waits for; `DefinitionError` if none can be first."""
        above = {node.id: set(node.waits_for) for node in self.nodes}
        below: dict[str, list[Node]] = {}
        for node in self.nodes:
            for node_id in above[node.id]:
                below.setdefault(node_id, []).append(node)
        position = {node.id: number for number, node in enumerate(self.nodes)}
        ready = [node for node in self.nodes if not above[node.id]]
        ordered: list[Node] = []
        while ready:
            ordered.extend(ready)
            following: list[Node] = []
            for done in ready:
                for node in below.get(done.id, ()):
                    above[node.id].discard(done.id)
                    if not above[node.id]:
                        following.append(node)
            ready = sorted(following, key=lambda node: position[node.id])
        if len(ordered) < len(self.nodes):
            stuck = [node for node in self.nodes if above[node.id]]
            circle = " and ".join(node.id for node in stuck)
            raise DefinitionError(f"{stuck[0].place}: the nodes {circle} wait for each other", remedy="remove one >>")
        return tuple(ordered)
