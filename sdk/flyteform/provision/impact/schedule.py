"""When a launch plan fires, as it is and as it will be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flyteform import schedules
from flyteform.errors import InvalidInputError
from flyteform.provision.impact.model import Impact, ImpactKind, Severity
from flyteform.provision.text import schedule_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flyteidl.admin import launch_plan_pb2, schedule_pb2

    from flyteform.provision.impact.model import ImpactValue

_FIRINGS = 5


@dataclass(frozen=True, slots=True)
class _Firing:
    """A schedule in words, with what it does next; `error` for one that cannot be understood."""

    text: str
    kickoff: str
    times: tuple[str, ...]
    error: str = ""

    @property
    def never(self) -> bool:
        return not self.times

    def words(self, count: int = _FIRINGS) -> str:
        if self.error:
            return self.error
        return "never fires" if self.never else f"fires {', '.join(self.times[:count])}"


def judge_schedule(
    active: launch_plan_pb2.LaunchPlan | None, wanted: launch_plan_pb2.LaunchPlanSpec | None, now: datetime
) -> Iterator[Impact]:
    """Yield how the firings change when the active version is replaced by the wanted one, or by none.

    Times are those of the schedule's own time zone. Fixed rates count from their activation, so the times of a new
    one are told from there.
    """
    before = None if active is None else _firing(active.spec.entity_metadata.schedule, now, _activated(active, now))
    after = None if wanted is None else _firing(wanted.entity_metadata.schedule, now, None)
    if after is None:
        if before is not None and not before.never:
            yield _impact(Severity.WARNING, f"its schedule ends: it {before.words()}", before, None)
        return
    severity = Severity.WARNING if after.never else Severity.INFO
    if before is None:
        yield _impact(severity, f"{after.text}: {after.words()}{_kickoff(after)}", None, after)
    elif (before.text, before.kickoff) != (after.text, after.kickoff):
        message = f"{before.text} → {after.text}: {before.words()}; then {after.words()}{_kickoff(after)}"
        yield _impact(severity, message, before, after)
    elif before.never:
        yield _impact(severity, f"{after.text}: {after.words()}", before, after)
    else:
        yield _impact(severity, f"the new version is what {before.words(1)} and after", before, before)


def _firing(schedule: schedule_pb2.Schedule, now: datetime, anchor: datetime | None) -> _Firing | None:
    text = schedule_text(schedule)
    if text is None:
        return None
    kickoff = schedule.kickoff_time_input_arg
    try:
        found = schedules.from_idl(schedule)
    except InvalidInputError as error:
        return _Firing(text, kickoff, (), f"cannot be understood: {error.message}")
    match found:
        case schedules.Every(interval) if anchor is None:
            return _Firing(text, kickoff, tuple(_after(interval * each) for each in range(1, _FIRINGS + 1)))
        case schedules.Every():
            times = schedules.firings(found, now, _FIRINGS, anchor=anchor)
            return _Firing(text, kickoff, tuple(f"{time:%Y-%m-%d %H:%M:%S} UTC" for time in times))
        case schedules.Cron(fields):
            local = [time.astimezone(fields.zone) for time in schedules.firings(found, now, _FIRINGS)]
            return _Firing(text, kickoff, tuple(f"{time:%Y-%m-%d %H:%M} {time.tzname()}" for time in local))
        case None:
            return None


def _after(interval: timedelta) -> str:
    return f"{interval} after its activation"


def _activated(active: launch_plan_pb2.LaunchPlan, now: datetime) -> datetime:
    if not active.closure.HasField("updated_at"):
        return now
    return active.closure.updated_at.ToDatetime(tzinfo=UTC)


def _kickoff(after: _Firing) -> str:
    return f"; the time goes to the input {after.kickoff}" if after.kickoff else ""


def _impact(severity: Severity, message: str, before: _Firing | None, after: _Firing | None) -> Impact:
    fields: list[tuple[str, ImpactValue]] = []
    for word, each in (("before", before), ("after", after)):
        fields.append((word, None if each is None else each.text))
        fields.append((f"{word}_firings", () if each is None else each.times))
        fields.append((f"{word}_kickoff_time_input", None if each is None else each.kickoff or None))
    return Impact(ImpactKind.SCHEDULE, severity, message, tuple(fields))
