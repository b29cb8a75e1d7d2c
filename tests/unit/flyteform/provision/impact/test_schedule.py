"""When schedules fire, before and after: in their own time zone, five times, and never for those that never do."""

from __future__ import annotations

from datetime import UTC, datetime

from flyteidl.admin import launch_plan_pb2
from flyteidl.admin.schedule_pb2 import MINUTE

from flyteform.provision.impact.model import Impact, Severity
from flyteform.provision.impact.schedule import judge_schedule
from support.plans import launch_plan_spec

NOW = datetime(2026, 3, 27, 12, 0, tzinfo=UTC)


def active(cron: str = "", *, rate: int = 0) -> launch_plan_pb2.LaunchPlan:
    """Return an active launch plan that was activated an hour and a half ago."""
    plan = launch_plan_pb2.LaunchPlan(spec=launch_plan_spec(cron))
    if rate:
        plan.spec.entity_metadata.schedule.rate.value = rate
        plan.spec.entity_metadata.schedule.rate.unit = MINUTE
    plan.closure.updated_at.FromDatetime(datetime(2026, 3, 27, 10, 30, tzinfo=UTC))
    return plan


def judged(before: launch_plan_pb2.LaunchPlan | None, after: launch_plan_pb2.LaunchPlanSpec | None) -> list[Impact]:
    """Return what the change means."""
    return list(judge_schedule(before, after, NOW))


def test_the_next_five_firings_in_the_schedules_own_zone() -> None:
    """Old and new are told in their own zones: across the change to summer time the local hour stays."""
    (impact,) = judged(active("0 3 * * *"), launch_plan_spec("CRON_TZ=Europe/Berlin 0 4 * * *"))
    fields = dict(impact.fields)
    assert impact.severity is Severity.INFO
    assert fields["before_firings"] == (
        "2026-03-28 03:00 UTC", "2026-03-29 03:00 UTC", "2026-03-30 03:00 UTC", "2026-03-31 03:00 UTC",
        "2026-04-01 03:00 UTC",
    )  # fmt: skip
    assert fields["after_firings"] == (
        "2026-03-28 04:00 CET", "2026-03-29 04:00 CEST", "2026-03-30 04:00 CEST", "2026-03-31 04:00 CEST",
        "2026-04-01 04:00 CEST",
    )  # fmt: skip


def test_a_schedule_that_never_fires_is_a_warning() -> None:
    """The 30th of February never comes."""
    (impact,) = judged(None, launch_plan_spec("0 0 30 2 *"))
    assert impact.severity is Severity.WARNING
    assert impact.message == "cron 0 0 30 2 *: never fires"


def test_what_cannot_be_understood_says_so() -> None:
    """A schedule that another client registered wrongly is a warning with the reason, not an error of the plan."""
    (impact,) = judged(active("every day"), launch_plan_spec("0 3 * * *"))
    assert "cannot be understood" in impact.message
    (impact,) = judged(None, launch_plan_spec("every day"))
    assert impact.severity is Severity.WARNING


def test_the_end_of_a_schedule_is_a_warning() -> None:
    """Deactivating, or activating a version without a schedule, ends it; without a schedule nothing ends."""
    for after in (None, launch_plan_spec()):
        (impact,) = judged(active("0 3 * * *"), after)
        assert impact.severity is Severity.WARNING
        assert impact.message.startswith("its schedule ends: it fires 2026-03-28 03:00 UTC, ")
    assert judged(active(), None) == []
    assert judged(None, launch_plan_spec()) == []


def test_the_same_schedule_of_a_new_version() -> None:
    """A new version with the same schedule says from when on it is what runs."""
    (impact,) = judged(active("0 3 * * *"), launch_plan_spec("0 3 * * *"))
    assert impact.message == "the new version is what fires 2026-03-28 03:00 UTC and after"


def test_fixed_rates_count_from_their_activation() -> None:
    """A rate that runs is told in times, a new one from its activation, whenever that will be."""
    after = launch_plan_pb2.LaunchPlanSpec()
    after.entity_metadata.schedule.rate.value = 20
    (impact,) = judged(active(rate=60), after)
    fields = dict(impact.fields)
    assert fields["before_firings"][:2] == ("2026-03-27 12:30:00 UTC", "2026-03-27 13:30:00 UTC")  # type: ignore[index]
    assert fields["after_firings"][:2] == ("0:20:00 after its activation", "0:40:00 after its activation")  # type: ignore[index]


def test_the_kickoff_argument_is_part_of_a_schedule() -> None:
    """That the time goes to an input is said, and a change of it alone is a change of the schedule."""
    after = launch_plan_spec("0 3 * * *")
    after.entity_metadata.schedule.kickoff_time_input_arg = "at"
    (impact,) = judged(active("0 3 * * *"), after)
    assert impact.message.endswith("the time goes to the input at")
    assert dict(impact.fields)["after_kickoff_time_input"] == "at"
