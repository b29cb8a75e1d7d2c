"""The deltas that make up an execution's history, and their form in the log (a msgpack list for each)."""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import msgpack  # type: ignore[import-untyped]

from flyteform_dataplane.engine.failures import Failure, FailureKind
from flyteform_dataplane.engine.phases import CacheStatus, ItemPhase, NodePhase, Wait, WorkflowPhase
from flyteform_dataplane.records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@record
class WorkflowChanged:
    """The execution moved to another phase."""

    after: WorkflowPhase
    at: float
    failure: Failure | None = None


@record
class NodeChanged:
    """A node moved to another phase. `attempt` is the one whose outputs are the node's."""

    node: str
    before: NodePhase
    after: NodePhase
    at: float
    attempt: int = 0
    failure: Failure | None = None
    cache: CacheStatus = CacheStatus.DISABLED
    key: bytes = b""


@record
class ArraySized:
    """The number of a node's items is known."""

    node: str
    size: int


@record
class ItemsStarted:
    """`count` new items from index `first` on began together, all in the phase `after`."""

    node: str
    first: int
    count: int
    after: ItemPhase
    at: float


@record
class ItemChanged:
    """An item moved to another phase.

    `attempt` is the attempt that is current after the change. Back to QUEUED with a failure is a retry: the failed
    attempt is the one before. A cache status other than DISABLED becomes the item's.
    """

    node: str
    index: int
    before: ItemPhase
    after: ItemPhase
    at: float
    attempt: int
    failure: Failure | None = None
    log_uri: str = ""
    cache: CacheStatus = CacheStatus.DISABLED
    key: bytes = b""


@record
class ItemWaited:
    """An item's attempt was seen to wait, which moves nothing: people are told of it."""

    node: str
    index: int
    attempt: int
    wait: Wait
    at: float
    reason: str


Change: TypeAlias = WorkflowChanged | NodeChanged | ArraySized | ItemsStarted | ItemChanged | ItemWaited

# The position is the tag in the log: append, never reorder; new fields go to the end of a class and have a default.
_TYPES: tuple[type[Change], ...] = (WorkflowChanged, NodeChanged, ArraySized, ItemsStarted, ItemChanged, ItemWaited)
_TAGS = {cls: tag for tag, cls in enumerate(_TYPES)}
_NAMES = {cls: tuple(field.name for field in fields(cls)) for cls in _TYPES}
_VALUES = {cls: attrgetter(*names) for cls, names in _NAMES.items()}


def encode(changes: Sequence[Change]) -> bytes:
    """Serialize the changes of one step."""
    rows = [(_TAGS[type(change)], *_VALUES[type(change)](change)) for change in changes]
    packed: bytes = msgpack.packb(rows, default=encode_failure)
    return packed


def decode(data: bytes) -> list[Change]:
    """Restore what `encode` wrote."""
    return [_restore(row) for row in msgpack.unpackb(data)]


def encode_failure(failure: Failure | None) -> list[Any] | None:
    """Return the failure as plain values."""
    if failure is None:
        return None
    return [failure.code, failure.message, int(failure.kind), failure.recoverable, failure.worker]


def decode_failure(row: list[Any] | None) -> Failure | None:
    """Restore what `encode_failure` made."""
    if row is None:
        return None
    code, message, kind, recoverable, worker = row
    return Failure(code, message, FailureKind(kind), recoverable, worker)


_ENUMS: dict[tuple[type[Change], str], Callable[[Any], object]] = {
    (WorkflowChanged, "after"): WorkflowPhase,
    (NodeChanged, "before"): NodePhase,
    (NodeChanged, "after"): NodePhase,
    (NodeChanged, "cache"): CacheStatus,
    (ItemsStarted, "after"): ItemPhase,
    (ItemChanged, "before"): ItemPhase,
    (ItemChanged, "after"): ItemPhase,
    (ItemChanged, "cache"): CacheStatus,
    (ItemWaited, "wait"): Wait,
}
_DECODERS: dict[type[Change], tuple[Callable[[Any], object] | None, ...]] = {
    cls: tuple(decode_failure if name == "failure" else _ENUMS.get((cls, name)) for name in names)
    for cls, names in _NAMES.items()
}


def _restore(row: list[Any]) -> Change:
    cls = _TYPES[row[0]]
    values = [
        value if decoder is None else decoder(value) for decoder, value in zip(_DECODERS[cls], row[1:], strict=False)
    ]
    return _make(cls, values)


def _make(cls: Callable[..., Change], values: list[Any]) -> Change:
    return cls(*values)
