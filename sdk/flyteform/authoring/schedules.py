"""When a launch plan starts by itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from flyteform.authoring import places
from flyteform.errors import DefinitionError

_ALIASES = frozenset({"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"})
_PLAIN = frozenset({"hourly", "hours", "daily", "days", "weekly", "weeks", "monthly", "months", "yearly", "annually"})
_FIELD = re.compile(r"[0-9A-Za-z*?/,-]+")
_FIELDS = 5
_ZONE = re.compile(r"(?:CRON_)?TZ=\S+\s+")

Unit = Literal["MINUTE", "HOUR", "DAY"]


@dataclass(frozen=True, slots=True)
class CronSchedule:
    """Times by a cron expression of five fields (minute hour day month weekday) or an alias such as `@daily`.

    Times are UTC unless the expression starts with `CRON_TZ=<zone>`. `kickoff_time_input_arg` names a datetime input
    that receives the scheduled time.
    """

    schedule: str
    kickoff_time_input_arg: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is no cron expression."""
        text = _ZONE.sub("", self.schedule, count=1).strip()
        if text in _ALIASES or text in _PLAIN:
            return
        parts = text.split()
        if len(parts) != _FIELDS or not all(_FIELD.fullmatch(part) for part in parts):
            raise DefinitionError(
                f"{places.of_caller()}: CronSchedule: {self.schedule!r} is no cron expression",
                remedy='write five fields, for example "0 6 * * *" for six o\'clock every day, or "@daily"',
            )


@dataclass(frozen=True, slots=True)
class FixedRate:
    """Every so many whole minutes, hours or days after activation."""

    duration: timedelta
    kickoff_time_input_arg: str | None = None

    def __post_init__(self) -> None:
        """Refuse durations that are not whole minutes."""
        duration: object = self.duration
        seconds = duration.total_seconds() if isinstance(duration, timedelta) else 0
        if seconds < 60 or seconds % 60:  # noqa: PLR2004 - seconds of a minute
            raise DefinitionError(
                f"{places.of_caller()}: FixedRate: {self.duration!r} is no number of whole minutes",
                remedy="give for example timedelta(minutes=10)",
            )

    def in_largest_unit(self) -> tuple[int, Unit]:
        """Return the rate in the largest of Flyte's units that it is a multiple of."""
        minutes = int(self.duration.total_seconds()) // 60
        units: tuple[tuple[int, Unit], ...] = ((24 * 60, "DAY"), (60, "HOUR"))
        for size, unit in units:
            if minutes % size == 0:
                return minutes // size, unit
        return minutes, "MINUTE"


Schedule = CronSchedule | FixedRate
