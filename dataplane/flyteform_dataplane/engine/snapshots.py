"""A whole state as bytes, so that a log need not be replayed from its beginning. Arrays stay arrays."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import msgpack  # type: ignore[import-untyped]

from flyteform_dataplane.engine.changes import decode_failure, encode_failure
from flyteform_dataplane.engine.phases import NodePhase, WorkflowPhase
from flyteform_dataplane.engine.state import Items, NodeState, State

if TYPE_CHECKING:
    from array import array

    from flyteform_dataplane.engine.failures import Failure


# Snapshots from before there were nodes below others are shorter.
_WITH_CHILDREN = 4
_WITH_BEGINNING = 5
_WITH_QUEUE = 6


def take(state: State) -> bytes:
    """Serialize the state."""
    nodes = {
        name: [
            node.phase,
            node.remaining,
            encode_failure(node.failure),
            _take_items(node.items),
            node.children,
            node.begun,
            node.queued,
        ]
        for name, node in state.nodes.items()
    }
    packed: bytes = msgpack.packb(
        [
            *(state.phase, encode_failure(state.failure), state.active, state.slots, list(state.waiting), nodes),
            *([(name, attempt) for name, attempts in state.unfolded.items() for attempt in attempts], state.begun),
        ]
    )
    return packed


def restore(data: bytes) -> State:
    """Make the state that was taken."""
    state = State()
    phase, failure, state.active, state.slots, waiting, nodes, *later = msgpack.unpackb(data)
    unfolded, state.begun = later or ((), 0.0)  # older snapshots end before it
    for name, attempt in unfolded:
        state.unfolded.setdefault(name, []).append(attempt)
    state.phase = WorkflowPhase(phase)
    state.failure = decode_failure(failure)
    state.waiting = OrderedDict.fromkeys(waiting)
    for name, row in nodes.items():
        node = state.nodes[name] = NodeState(row[1])
        node.phase = NodePhase(row[0])
        node.failure = decode_failure(row[2])
        node.items = _restore_items(row[3])
        node.children = row[4] if len(row) > _WITH_CHILDREN else 0
        node.begun = row[5] if len(row) > _WITH_BEGINNING else 0.0
        node.queued = row[6] if len(row) > _WITH_QUEUE else node.begun
    return state


def _take_items(items: Items | None) -> list[Any] | None:
    if items is None:
        return None
    failures = [[index, encode_failure(failure)] for index, failure in items.failures.items()]
    counts = [items.next, items.succeeded, items.failed, items.aborted]
    arrays = [bytes(items.phases), bytes(items.caches), _take_counts(items.users), _take_counts(items.systems)]
    return [*arrays, failures, list(items.deadlines.items()), counts]


def _restore_items(row: list[Any] | None) -> Items | None:
    if row is None:
        return None
    phases, caches, users, systems, failures, deadlines, counts = row
    items = Items(len(phases))
    items.phases[:] = phases
    items.caches[:] = caches
    _restore_counts(items.users, users)
    _restore_counts(items.systems, systems)
    items.failures = {index: _known(decode_failure(failure)) for index, failure in failures}
    items.deadlines = dict(deadlines)
    items.next, items.succeeded, items.failed, items.aborted = counts
    return items


def _take_counts(counts: array[int]) -> list[list[int]]:
    """Pairs of index and count: nearly all are zero."""
    return [[index, count] for index, count in enumerate(counts) if count]


def _restore_counts(counts: array[int], pairs: list[list[int]]) -> None:
    for index, count in pairs:
        counts[index] = count


def _known(failure: Failure | None) -> Failure:
    if failure is None:
        raise ValueError("the snapshot names a failed item without its failure")
    return failure
