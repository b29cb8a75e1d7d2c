"""The schedule of a launch plan as it is kept: what it says, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from flyteform.schedules import Every, Schedule, parse_schedule
from flyteform_controlplane.domain.records import Record

if TYPE_CHECKING:
    from datetime import datetime

    from flyteform_controlplane.domain.ports import EntityKey

# In the order of Flyte's FixedRateUnit.
_UNITS: Final = (timedelta(minutes=1), timedelta(hours=1), timedelta(days=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchUpRecord(Record):
    """How many missed firings are made up for, of all versions of a launch plan."""

    project: str
    domain: str
    name: str
    max: int


@dataclass(frozen=True, slots=True)
class ScheduledPlan:
    """A launch plan version's schedule: cron text, or a rate if that is empty; `unit` is FixedRateUnit."""

    id: int
    launch_plan: EntityKey
    cron_expression: str
    cron_offset: str
    fixed_rate_value: int
    unit: int
    kickoff_time_input_arg: str
    activated_at: datetime
    last_fired_at: datetime | None
    # How many missed firings are made up for, None where nothing is said for this launch plan.
    catch_up: int | None = None

    @property
    def since(self) -> datetime:
        """The time that the next firing is later than."""
        return max(self.activated_at, self.last_fired_at or self.activated_at)

    def schedule(self) -> Schedule:
        """Return when it fires; `InvalidInputError` if this version of the program cannot read it."""
        if self.cron_expression:
            return parse_schedule(self.cron_expression, offset=self.cron_offset)
        return Every(_UNITS[self.unit] * self.fixed_rate_value)
