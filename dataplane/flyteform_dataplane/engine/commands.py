"""What the engine wants done. Every command is idempotent: its name follows from node, index and attempt."""

from __future__ import annotations

from typing import TypeAlias

from flyteform_dataplane.records import record


@record
class MeasureArray:
    """Resolve the inputs of an array node, write them and say how many items it has."""

    node: str


@record
class EnterWorkflow:
    """Resolve the inputs of a sub-workflow node and write them, also as the outputs of its start node."""

    node: str


@record
class DecideBranch:
    """Resolve the inputs of a branch, write them and say which of its nodes is taken."""

    node: str


@record
class CollectOutputs:
    """Write the outputs of an array (from its items'), a branch (from the node taken), or a workflow's end."""

    node: str


@record
class LookUpCache:
    """Ask the cache; on a hit write the outputs as those of attempt 0."""

    node: str
    index: int


@record
class StoreInCache:
    """Put the outputs of an attempt into the cache."""

    node: str
    index: int
    attempt: int


@record
class StartAttempt:
    """Start an attempt (resolving and writing the node's inputs if need be), or watch it if it runs.

    An `interruptible` one may run where the machine can be taken away.
    """

    node: str
    index: int
    attempt: int
    interruptible: bool = False


@record
class StopAttempt:
    """End an attempt with all that it started."""

    node: str
    index: int
    attempt: int


# The indexes of timers of whole nodes and of their waits in the queue, and the node of those of the execution.
WHOLE, QUEUE, EXECUTION = -1, -2, ""


@record
class SetTimer:
    """Say so when the time `at` has come, of an attempt, a whole node, its wait in the queue or the execution."""

    node: str
    index: int
    attempt: int
    at: float


@record
class TakeOver:
    """Write the outputs that the node had in the execution which this one recovers as its own, if they still exist."""

    node: str


NodeCommand: TypeAlias = TakeOver | MeasureArray | EnterWorkflow | DecideBranch | CollectOutputs
Command: TypeAlias = NodeCommand | LookUpCache | StoreInCache | StartAttempt | StopAttempt | SetTimer
