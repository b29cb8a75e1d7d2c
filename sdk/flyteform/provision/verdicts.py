"""What policies say about a plan. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flyteform.provision.model import Address


class Level(StrEnum):
    """Whether a plan may be applied all the same."""

    WARN = "warn"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one policy says, and about what."""

    policy: str
    level: Level
    message: str
    addresses: tuple[Address, ...] = ()
