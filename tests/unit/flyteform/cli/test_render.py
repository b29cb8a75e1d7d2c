"""Plans as people read them: on a terminal, in a pipe, and as a comment on a pull request."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import pytest
from flyteidl.admin import launch_plan_pb2
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from flyteform.cli.markdown import LIMIT, render_markdown
from flyteform.cli.render import print_lines, render, render_calls, render_outcome
from flyteform.errors import FlyteformError
from flyteform.provision.apply import Outcome, Status
from flyteform.provision.impact.model import Impact, ImpactKind, Severity
from flyteform.provision.impact.schedule import judge_schedule
from flyteform.provision.model import Action, Address, Change, Desired, FieldChange, Kind, Plan
from flyteform.provision.verdicts import Level, Verdict
from support.plans import PLANS, TEXTS, launch_plan_spec

if TYPE_CHECKING:
    from datetime import datetime

TASK = Address(Kind.TASK, "p", "d", "m.t")
NIGHTLY = Address(Kind.LAUNCH_PLAN, "p", "d", "nightly")


def text_of(plan: Plan, *, full: bool = False, color: bool = False) -> str:
    """Return what a person sees."""
    console = Console(width=200, force_terminal=color)
    with console.capture() as capture:
        console.print(render(plan, full=full), soft_wrap=True)
    return capture.get()


def plan_of(*changes: Change, **rest: object) -> Plan:
    """Return a plan of these changes."""
    return Plan("h:1", Desired(), changes, **rest)  # type: ignore[arg-type]


BREAKS = Impact(ImpactKind.INTERFACE, Severity.BREAKING, "breaks node n0 of workflow m.w in p/d: gives the input x")
CHANGED = Change(
    Action.NEW_VERSION,
    TASK,
    "changed: image",
    "v2",
    "v1",
    (FieldChange("image", "i:0", "i:1"), FieldChange("retries", None, "3"), FieldChange("timeout", "9s", None)),
    impacts=(BREAKS,),
    breaking=True,
)


def test_fields_impacts_and_counts() -> None:
    """People see symbols, old and new values, what it means, and one line of counts; no escape codes in a pipe."""
    text = text_of(plan_of(CHANGED, Change(Action.CREATE, NIGHTLY, "does not exist", "v1")))
    assert text == (
        "On h:1:\n\n"
        "  ~ task m.t  p/d\n"
        "      new version v1 → v2: changed: image\n"
        "        ~ image    i:0 → i:1\n"
        "        + retries  3\n"
        "        - timeout  9s\n"
        "        ✗ breaks node n0 of workflow m.w in p/d: gives the input x\n\n"
        "  + launch plan nightly  p/d\n"
        "      create version v1\n\n"
        "Plan: 1 to create, 1 to update, 0 to archive, 1 breaking.\n"
    )


def test_colour_is_for_terminals_or_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal gets colours; a pipe gets them only when they are asked for."""
    assert "\x1b[" in text_of(plan_of(CHANGED), color=True)
    print_lines(render(plan_of(CHANGED)))
    assert "\x1b[" not in capsys.readouterr().out
    print_lines(render(plan_of(CHANGED)), color=True)
    assert "\x1b[" in capsys.readouterr().out


def test_drift_is_apart_from_change() -> None:
    """What the platform has moved away from has a section of its own, and is counted."""
    drifted = Change(Action.UPDATE, NIGHTLY, "settings differ", drift=True)
    text = text_of(plan_of(drifted, CHANGED))
    assert text.index("m.t") < text.index("Drift: the platform is no longer as it was applied:") < text.index("nightly")
    assert "1 drifted" in text
    assert "#### Drift" in render_markdown(plan_of(drifted, CHANGED))


def test_long_values_and_groups_are_folded() -> None:
    """A long value is cut and its length said, a long group is counted; nothing is left out when all is asked for."""
    fields = tuple(FieldChange(f"environment.V{index:02}", None, "x" * 300) for index in range(20))
    plan = plan_of(Change(Action.NEW_VERSION, TASK, "changed", "v2", "v1", fields))
    text = text_of(plan)
    assert "… (300 characters)" in text
    assert "… 8 more of environment" in text
    full = text_of(plan, full=True)
    assert "x" * 300 in full
    assert "V19" in full


def test_firings_are_told_in_rows(noon: datetime) -> None:
    """Old and new times stand below each other."""
    active = launch_plan_pb2.LaunchPlan(spec=launch_plan_spec("0 3 * * *"))
    impacts = tuple(judge_schedule(active, launch_plan_spec("0 4 * * *"), noon))
    text = text_of(plan_of(Change(Action.ACTIVATE, NIGHTLY, "another version is active", "v2", "v1", impacts=impacts)))
    assert "        · schedule: cron 0 3 * * * → cron 0 4 * * *\n" in text
    assert "            was: 2026-01-02 03:00 UTC, 2026-01-03 03:00 UTC, " in text
    assert "            now: 2026-01-02 04:00 UTC, 2026-01-03 04:00 UTC, " in text


@pytest.fixture
def noon() -> datetime:
    """Return a noon."""
    from datetime import UTC, datetime

    return datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_verdicts_are_shown() -> None:
    """What policies say stands before the counts, also when there is nothing else to say."""
    verdicts = (Verdict("limits", Level.DENY, "too big", (TASK,)), Verdict("names", Level.WARN, "odd"))
    for plan in (plan_of(CHANGED, verdicts=verdicts), plan_of(verdicts=verdicts)):
        text = text_of(plan)
        assert "✗ deny limits: too big (task m.t in p/d)" in text
        assert "! warn names: odd" in text
        assert "denied by `limits`: `too big`" in render_markdown(plan)


def test_nothing_to_do_says_so() -> None:
    """Without changes the text is one line."""
    assert text_of(plan_of()) == "No changes: h:1 is as declared (0 resources).\n"
    assert render_markdown(plan_of()) == "### `No changes: h:1 is as declared (0 resources).`\n"


def test_what_a_platform_answers_is_hidden_too() -> None:
    """An error that repeats what was sent shows no secret of it, and stays on its line."""
    error = FlyteformError("refused:\nenv PASSWORD=hunter2Xq")
    for status in (Status.FAILED, Status.SKIPPED):
        line = render_outcome(Outcome(CHANGED, status, error))
        assert line is not None
        assert "refused: env PASSWORD=(secret)" in line.plain


def test_calls_are_counted() -> None:
    """The calls to the platform are summed and named, the most frequent first."""
    assert render_calls({"ListTasks": 2, "GetProject": 1}).plain == "3 calls to the platform: ListTasks 2, GetProject 1"


@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(PLANS, st.booleans(), st.booleans())
def test_rendering_never_fails_and_never_acts(plan: Plan, full: bool, color: bool) -> None:
    """No plan is too odd to be shown, and nothing in it reaches the terminal as a control."""
    text = text_of(plan, full=full, color=color)
    if not color:
        assert not [each for each in text if ord(each) < 32 and each != "\n"]
        assert "\u202e" not in text


def test_markdown_has_details_and_alarms() -> None:
    """A pull request shows counts and what breaks at once, the rest folded; what breaks is open."""
    text = render_markdown(plan_of(CHANGED, Change(Action.CREATE, NIGHTLY, "does not exist", "v1")))
    assert text.startswith("### Plan: 1 to create, 1 to update, 0 to archive, 1 breaking.\n")
    assert "> [!CAUTION]\n> Breaks callers of `task m.t in p/d`: refused without `--allow-breaking`." in text
    assert "<details open><summary>~ task <code>m.t</code> in <code>p/d</code> ❌</summary>" in text
    assert "| `image` | `i:0` | `i:1` |" in text
    assert "<details><summary>+ launch plan <code>nightly</code> in <code>p/d</code></summary>" in text


@settings(max_examples=60, deadline=None)
@given(PLANS)
@example(plan_of(Change(Action.UPDATE, TASK, "`", fields=(FieldChange("a|b", "`` ` ``", "\\|"),))))
def test_markdown_is_never_cut_and_never_markup(plan: Plan) -> None:
    """Whatever users wrote, folds are closed, tables have three columns, and nothing is outside of code."""
    text = render_markdown(plan)
    assert len(text) <= LIMIT
    outside = outside_of_code(text)
    assert outside.count("<details") == outside.count("</details>")
    for line in outside.splitlines():
        if line.startswith("|"):
            assert line.count("|") == 4
        assert "@" not in line
        assert "](" not in line


def outside_of_code(text: str) -> str:
    """Take out what GitHub shows as it is: runs of backticks to the next run of the same length, and <code>."""
    text = re.sub(r"<code>[^<]*</code>", "", text)
    return re.sub(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)", "", text)


@settings(max_examples=15, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=3), st.integers(1_000, 8_000))
def test_markdown_has_a_limit(names: list[str], limit: int) -> None:
    """A plan that is too long for a comment says how much is left out, and stays well-formed."""
    fields = tuple(FieldChange(f"environment.{index}", "a" * 200, "b" * 200) for index in range(30))
    changes = [
        Change(Action.NEW_VERSION, Address(Kind.TASK, "p", "d", f"{name}{index}"), "changed", "2", "1", fields)
        for name in names
        for index in range(20)
    ]
    text = render_markdown(plan_of(*changes), limit)
    assert len(text) <= limit
    assert "more: the plan is too long for a comment" in text
    outside = outside_of_code(text)
    assert outside.count("<details") == outside.count("</details>")


def test_names_in_html_are_escaped() -> None:
    """A name with markup in it is shown, not obeyed."""
    name = "<img src=x onerror=alert(1)>"
    text = render_markdown(plan_of(Change(Action.CREATE, Address(Kind.TASK, "p", "d", name), "new", "v1")))
    assert f"<code>{html.escape(name)}</code>" in text
    assert "<img" not in text
