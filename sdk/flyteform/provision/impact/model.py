"""What a change means beyond itself: who can no longer call, what is computed again, what fires when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ImpactKind(StrEnum):
    """What is touched."""

    INTERFACE = "interface"
    CACHE = "cache"
    SCHEDULE = "schedule"
    EXECUTIONS = "executions"


class Severity(StrEnum):
    """How much it matters.

    `breaking` is for interfaces only: a caller can no longer call, and nothing is applied without `--allow-breaking`.
    """

    INFO = "info"
    WARNING = "warning"
    BREAKING = "breaking"


ImpactValue = str | int | bool | None | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Impact:
    """One consequence of a change: a sentence for people, and the same as named values for programs."""

    kind: ImpactKind
    severity: Severity
    message: str
    fields: tuple[tuple[str, ImpactValue], ...] = ()
