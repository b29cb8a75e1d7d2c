"""When a launch plan starts by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from flyteform.authoring import places
from flyteform.errors import DefinitionError, InvalidInputError

Unit = Literal["MINUTE", "HOUR", "DAY"]


@dataclass(frozen=True, slots=True)
class CronSchedule:
    """Times by a cron expression of five fields (minute hour day month weekday) or an alias such as `@daily`.

    Times are UTC unless the expression starts with `CRON_TZ=<zone>`; `@every 90s` counts from the activation.
    `kickoff_time_input_arg` names a datetime input that receives the scheduled time.
    """

    schedule: str
    kickoff_time_input_arg: str | None = None

    def __post_init__(self) -> None:
        """Refuse what the scheduler would refuse."""
        from flyteform.schedules import validate_schedule  # only who schedules pays for it

        try:
            validate_schedule(self.schedule)
        except InvalidInputError as error:
            raise DefinitionError(
                f"{places.of_caller()}: CronSchedule: {error.message}", remedy=error.remedy
            ) from error


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
