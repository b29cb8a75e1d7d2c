"""What drivers tell the engine. Times are seconds since the epoch, UTC; they are the engine's only clock.

An observation may come late, twice or never: one that does not fit the state is ignored, and one that got lost is
made again by the command that is derived from the state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from flyteform_dataplane.records import record

if TYPE_CHECKING:
    from flyteform_dataplane.engine.failures import Failure
    from flyteform_dataplane.engine.phases import CacheStatus, Wait


@record
class Started:
    """The execution was accepted."""

    at: float


@record
class AbortRequested:
    """Somebody wants the execution to end; `cause` is for people."""

    at: float
    cause: str


@record
class ArrayMeasured:
    """The inputs of an array node were resolved; it has `size` items."""

    node: str
    size: int
    at: float


@record
class WorkflowEntered:
    """The inputs of a sub-workflow are there for its nodes."""

    node: str
    at: float


@record
class BranchDecided:
    """A branch takes the child with the number `taken`, or none, which is a failure."""

    node: str
    taken: int
    at: float
    failure: Failure | None = None


@record
class OutputsCollected:
    """The outputs of an array node, of a branch, or of a workflow (its end node), are written."""

    node: str
    at: float


@record
class TakenOver:
    """The outputs of a former execution's node are this one's, or they were not there any more (`found`)."""

    node: str
    found: bool
    at: float


@record
class NodeRefused:
    """A command for a whole node cannot be carried out, as its inputs or its definition are wrong."""

    node: str
    failure: Failure
    at: float


@record
class CacheAnswered:
    """The cache was asked: HIT (the outputs are written), MISS or LOOKUP_FAILURE.

    `key` is the serialized `CatalogMetadata` of a hit, which the engine only carries to the events.
    """

    node: str
    index: int
    status: CacheStatus
    at: float
    key: bytes = b""


@record
class CacheStored:
    """The outputs were put into the cache (POPULATED), or could not be (PUT_FAILURE)."""

    node: str
    index: int
    status: CacheStatus
    at: float
    key: bytes = b""


@record
class AttemptWaiting:
    """An attempt waits longer than they usually do; `reason` is for people, empty where it was told of another item."""

    node: str
    index: int
    attempt: int
    wait: Wait
    reason: str
    at: float


@record
class AttemptRunning:
    """An attempt was seen to run."""

    node: str
    index: int
    attempt: int
    at: float
    log_uri: str = ""


@record
class AttemptSucceeded:
    """An attempt ended and its outputs are there."""

    node: str
    index: int
    attempt: int
    at: float
    log_uri: str = ""


@record
class AttemptUnfolded:
    """An attempt of a dynamic task ended and left nodes to run, which the graph has by now."""

    node: str
    index: int
    attempt: int
    at: float
    log_uri: str = ""


@record
class AttemptFailed:
    """An attempt ended without outputs, could not be started, or was lost."""

    node: str
    index: int
    attempt: int
    failure: Failure
    at: float
    log_uri: str = ""


@record
class AttemptStopped:
    """Nothing of an attempt is left after it was told to stop."""

    node: str
    index: int
    attempt: int
    at: float


@record
class TimerFired:
    """The time that a timer was set to has come."""

    node: str
    index: int
    attempt: int
    at: float


AttemptObservation: TypeAlias = (
    AttemptRunning | AttemptSucceeded | AttemptUnfolded | AttemptFailed | AttemptStopped | TimerFired
)
NodeObservation: TypeAlias = (
    TakenOver | ArrayMeasured | WorkflowEntered | BranchDecided | OutputsCollected | NodeRefused
)
CacheObservation: TypeAlias = CacheAnswered | CacheStored
Observation: TypeAlias = (
    Started | AbortRequested | NodeObservation | CacheObservation | AttemptWaiting | AttemptObservation
)
