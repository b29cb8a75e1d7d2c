"""Edges between the nodes of a workflow, reachability and cycles. Nothing here recurses: chains may be long."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flyteidl.core.compiler_pb2 import ConnectionSet

START: Final = "start-node"
END: Final = "end-node"

Adjacency = dict[str, set[str]]


@dataclass(slots=True)
class Edges:
    """The connections of one workflow while it is built; an empty provider means the start node."""

    upstream: Adjacency = field(default_factory=dict)
    downstream: Adjacency = field(default_factory=dict)

    def add_upstream(self, provider: str, dependent: str) -> None:
        """Record that `dependent` waits for `provider`, without the way back: for nodes inside a branch."""
        self.upstream.setdefault(dependent, set()).add(provider or START)

    def add(self, provider: str, dependent: str) -> None:
        """Record an edge in both directions."""
        self.add_upstream(provider, dependent)
        self.downstream.setdefault(provider or START, set()).add(dependent)

    def write(self, connections: ConnectionSet) -> None:
        """Replace the content of a message by these edges, each list sorted."""
        connections.Clear()
        connections.SetInParent()
        for adjacency, target in ((self.downstream, connections.downstream), (self.upstream, connections.upstream)):
            for node_id, others in adjacency.items():
                target[node_id].ids.extend(sorted(others))


@dataclass(frozen=True, slots=True)
class Walk:
    """What a depth-first walk found: a cycle as the path to it and around it (empty: none), and the nodes it met."""

    cycle: tuple[str, ...]
    visited: frozenset[str]


def walk(start: str, neighbours: Mapping[str, Iterable[str]]) -> Walk:
    """Walk from `start` in the order of names, and stop at the first edge that leads back into its own path."""
    path = [start]
    on_path, visited = {start}, {start}
    pending = [iter(sorted(neighbours.get(start, ())))]
    while pending:
        following = next(pending[-1], None)
        if following is None:
            pending.pop()
            on_path.discard(path.pop())
        elif following in on_path:
            return Walk((*path, following), frozenset(visited))
        elif following not in visited:
            visited.add(following)
            on_path.add(following)
            path.append(following)
            pending.append(iter(sorted(neighbours.get(following, ()))))
    return Walk((), frozenset(visited))
