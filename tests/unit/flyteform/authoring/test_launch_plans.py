"""Launch plans and schedules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import flyteform as fl
from flyteform.errors import DefinitionError, FlyteformError


@fl.task
def note(at: datetime, text: str) -> str:
    """Write a line."""
    return f"{at:%Y} {text}"


@fl.workflow
def journal(at: datetime, text: str = "none") -> str:
    """Write a line."""
    return note(at=at, text=text)


def test_without_a_name_it_is_the_workflows_own() -> None:
    """Flyte's default launch plan has the name of the workflow."""
    assert fl.LaunchPlan.get_or_create(journal).name == journal.name
    assert fl.LaunchPlan("daily", journal).name == "daily"


def test_its_inputs_replace_the_workflows_defaults() -> None:
    """Defaults can be replaced at the start, fixed inputs are no inputs any more."""
    plan = fl.LaunchPlan.get_or_create(
        journal,
        "daily",
        default_inputs={"at": datetime(2030, 1, 1, tzinfo=UTC)},
        fixed_inputs={"text": "fixed"},
    )
    assert plan() == "2030 fixed"
    with pytest.raises(FlyteformError, match="has no input 'text'"):
        plan(text="other")


def test_a_schedule_can_give_its_own_time() -> None:
    """The input that receives the scheduled time needs no other value."""
    cron = fl.CronSchedule("0 6 * * *", kickoff_time_input_arg="at")
    assert fl.LaunchPlan("daily", journal, schedule=cron).schedule == cron


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"default_inputs": {"txt": "a"}}, "default_inputs: .* has no input 'txt'; did you mean 'text'?"),
        ({"fixed_inputs": {"text": 1}}, "fixed_inputs: input 'text': expected str, got int 1"),
        ({"default_inputs": {"text": "a"}, "fixed_inputs": {"text": "a"}}, "'text' is both fixed and a default"),
        ({"schedule": fl.FixedRate(timedelta(hours=1))}, "the schedule leaves the input 'at' without a value"),
        (
            {"schedule": fl.CronSchedule("@daily", kickoff_time_input_arg="text")},
            "kickoff_time_input_arg names 'text', which is no free input of type datetime",
        ),
    ],
)
def test_a_launch_plan_that_cannot_work_is_refused(options: dict[str, Any], message: str) -> None:
    """The message names this file, the plan and the input."""
    with pytest.raises(DefinitionError, match=message) as caught:
        fl.LaunchPlan("daily", journal, **options)
    assert "test_launch_plans.py:" in caught.value.message


@pytest.mark.parametrize("text", ["0 6 * * *", "*/5 9-17 * * MON-FRI", "@hourly", "CRON_TZ=Europe/Berlin 0 6 * * *"])
def test_cron_expressions(text: str) -> None:
    """Five fields, aliases, and a time zone before them."""
    assert fl.CronSchedule(text).schedule == text


@pytest.mark.parametrize("text", ["", "0 6 * *", "0 0 6 * * *", "every day", "0 6 * * $"])
def test_what_is_no_cron_expression_is_refused(text: str) -> None:
    """The message shows one that would be right."""
    with pytest.raises(DefinitionError, match=r"test_launch_plans.py:\d+: CronSchedule: ") as caught:
        fl.CronSchedule(text)
    assert "@hourly" in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (timedelta(minutes=90), (90, "MINUTE")),
        (timedelta(hours=2), (2, "HOUR")),
        (timedelta(days=14), (14, "DAY")),
    ],
)
def test_rates_are_in_the_largest_unit(duration: timedelta, expected: tuple[int, str]) -> None:
    """Flyte knows minutes, hours and days."""
    assert fl.FixedRate(duration).in_largest_unit() == expected


@pytest.mark.parametrize("duration", [timedelta(0), timedelta(seconds=30), timedelta(seconds=90), 5])
def test_rates_of_parts_of_a_minute_are_refused(duration: Any) -> None:
    """Nothing is rounded silently."""
    with pytest.raises(DefinitionError, match="is no number of whole minutes"):
        fl.FixedRate(duration)
