"""Why something failed, and the rule whether another attempt may follow (Flyte's budgets and texts)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple

# Flyte's `max-node-retries-system-failures`: how often the platform may fail one item.
SYSTEM_ATTEMPTS = 3


class FailureKind(IntEnum):
    """Whose fault it is, with the numbers of Flyte's `ExecutionError.ErrorKind`."""

    UNKNOWN = 0
    USER = 1
    SYSTEM = 2


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of an attempt, a node or an execution. `recoverable` says whether a retry may be tried."""

    code: str
    message: str
    kind: FailureKind = FailureKind.USER
    recoverable: bool = False
    worker: str = ""


class Verdict(NamedTuple):
    """What follows from a failed attempt: the failure to record, and whether another attempt starts."""

    failure: Failure
    retry: bool


def judge(failure: Failure, *, user_failures: int, system_failures: int, retries: int) -> Verdict:
    """Decide on another attempt from the failures before this one and the retries that the user allowed."""
    if not failure.recoverable:
        return Verdict(failure, retry=False)
    if failure.kind is FailureKind.SYSTEM:
        current, budget = system_failures + 1, SYSTEM_ATTEMPTS
    else:
        current, budget = user_failures + 1, retries + 1
    if current < budget:
        return Verdict(failure, retry=True)
    message = f"[{current}/{budget}] currentAttempt done. Last Error: {failure.kind.name}::{failure.message}"
    return Verdict(
        replace(failure, code=f"RetriesExhausted|{failure.code}", message=message, recoverable=False), retry=False
    )
