"""What the engine wants done. Every command is idempotent: its name follows from node, index and attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class MeasureArray:
    """Resolve the inputs of an array node, write them and say how many items it has."""

    node: str


@dataclass(frozen=True, slots=True)
class EnterWorkflow:
    """Resolve the inputs of a sub-workflow node and write them, also as the outputs of its start node."""

    node: str


@dataclass(frozen=True, slots=True)
class DecideBranch:
    """Resolve the inputs of a branch, write them and say which of its nodes is taken."""

    node: str


@dataclass(frozen=True, slots=True)
class CollectOutputs:
    """Write the outputs of an array (from its items'), a branch (from the node taken), or a workflow's end."""

    node: str


@dataclass(frozen=True, slots=True)
class LookUpCache:
    """Ask the cache; on a hit write the outputs as those of attempt 0."""

    node: str
    index: int


@dataclass(frozen=True, slots=True)
class StoreInCache:
    """Put the outputs of an attempt into the cache."""

    node: str
    index: int
    attempt: int


@dataclass(frozen=True, slots=True)
class StartAttempt:
    """Start an attempt (resolving and writing the node's inputs if need be), or watch it if it runs.

    An `interruptible` one may run where the machine can be taken away.
    """

    node: str
    index: int
    attempt: int
    interruptible: bool = False


@dataclass(frozen=True, slots=True)
class StopAttempt:
    """End an attempt with all that it started."""

    node: str
    index: int
    attempt: int


# The indexes of timers of whole nodes and of their waits in the queue, and the node of those of the execution.
WHOLE, QUEUE, EXECUTION = -1, -2, ""


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Say so when the time `at` has come, of an attempt, a whole node, its wait in the queue or the execution."""

    node: str
    index: int
    attempt: int
    at: float


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Write the outputs that the node had in the execution which this one recovers as its own, if they still exist."""

    node: str


NodeCommand: TypeAlias = TakeOver | MeasureArray | EnterWorkflow | DecideBranch | CollectOutputs
Command: TypeAlias = NodeCommand | LookUpCache | StoreInCache | StartAttempt | StopAttempt | SetTimer
