"""Plans and their application as people read them: what changes, field by field, and what that means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.text import Text

from flyteform.cli.wording import (
    by_address,
    count,
    headline,
    impact_lines,
    nothing,
    one_line,
    place,
    shown_fields,
    summary,
    symbol,
)
from flyteform.provision.apply import Status
from flyteform.provision.impact.model import Severity
from flyteform.provision.redaction import redact_text
from flyteform.provision.verdicts import Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from flyteform.provision.apply import ApplyResult, Outcome
    from flyteform.provision.impact.model import Impact
    from flyteform.provision.model import Address, Change, FieldChange, Plan
    from flyteform.provision.verdicts import Verdict

_STYLES = {"+": "green", "~": "yellow", "-": "red"}
_MARKS = {Severity.INFO: ("·", "cyan"), Severity.WARNING: ("!", "yellow"), Severity.BREAKING: ("✗", "bold red")}
_FIELDS_PER_GROUP = 12
_VALUE_CHARACTERS = 160


def print_lines(content: Group | Text, *, color: bool | None = None) -> None:
    """Print for people, with no line broken elsewhere than on a terminal, where that does it by words.

    Colour is for terminals, and for those who set FORCE_COLOR, unless `color` says otherwise.
    """
    console = Console(highlight=False, force_terminal=color, no_color=True if color is False else None)
    console.print(content, soft_wrap=not console.file.isatty())


def render(plan: Plan, *, full: bool = False) -> Group:
    """Return a plan for people: what changes, then what has drifted, what policies say, and one line of counts.

    Long values and long groups of fields are folded unless `full` is asked for.
    """
    if not plan.has_changes:
        return Group(*_verdict_lines(plan.verdicts), Text(nothing(plan)))
    lines = [Text(f"On {one_line(plan.endpoint)}:", style="bold"), Text()]
    lines += _resources([step for step in plan.steps if not step.drift], full=full)
    drifted = [step for step in plan.steps if step.drift]
    if drifted:
        lines += [Text("Drift: the platform is no longer as it was applied:", style="bold"), Text()]
        lines += _resources(drifted, full=full)
    return Group(*lines, *_verdict_lines(plan.verdicts), Text(summary(plan), style="bold"))


def render_calls(sent: Mapping[str, int]) -> Text:
    """Return how many calls were made, the most frequent first."""
    calls = sorted(sent.items(), key=lambda each: (-each[1], each[0]))
    names = ", ".join(f"{name} {number}" for name, number in calls)
    return Text(f"{count(sum(sent.values()), 'call')} to the platform: {names}", style="dim")


def _resources(steps: Iterable[Change], *, full: bool) -> Iterator[Text]:
    for address, changes in by_address(steps).items():
        yield from _resource_lines(address, changes, full=full)
        yield Text()


def _resource_lines(address: Address, changes: Sequence[Change], *, full: bool) -> Iterator[Text]:
    sign = symbol(changes)
    where = one_line(place(address))
    yield Text.assemble(
        ("  " + sign + " ", _STYLES[sign]),
        (f"{address.kind.label} ", ""),
        (one_line(address.name), "bold"),
        (f"  {where}" if where else "", "dim"),
    )
    for change in changes:
        yield Text.assemble("      ", (redact_text(headline(change)), "italic"))
        yield from _field_lines(shown_fields(change), full=full)
        for impact in change.impacts:
            yield from _impact_lines(impact)


def _field_lines(fields: Sequence[FieldChange], *, full: bool) -> Iterator[Text]:
    """Yield one line a field; of groups with many members (nodes, environment) only the first ones."""
    groups: dict[str, list[FieldChange]] = {}
    for each in fields:
        groups.setdefault(each.path.partition(".")[0], []).append(each)
    limit = None if full else _FIELDS_PER_GROUP
    width = max((len(one_line(each.path)) for group in groups.values() for each in group[:limit]), default=0)
    for name, group in groups.items():
        for each in group[:limit]:
            yield _field_line(each, width, full=full)
        if limit is not None and len(group) > limit:
            yield Text(f"          … {len(group) - limit} more of {one_line(name)}", style="dim")


def _field_line(each: FieldChange, width: int, *, full: bool) -> Text:
    sign = "+" if each.before is None else "-" if each.after is None else "~"
    limit = None if full else _VALUE_CHARACTERS
    values = " → ".join(one_line(value, limit) for value in (each.before, each.after) if value is not None)
    return Text.assemble(("        " + sign, _STYLES[sign]), f" {one_line(each.path):<{width}}  {values}")


def _impact_lines(impact: Impact) -> Iterator[Text]:
    mark, style = _MARKS[impact.severity]
    for index, line in enumerate(impact_lines(impact)):
        lead = f"        {mark} " if index == 0 else "            "
        yield Text.assemble((lead, style), (one_line(line), style))


def _verdict_lines(verdicts: Sequence[Verdict]) -> Iterator[Text]:
    if not verdicts:
        return
    yield Text("Policies:", style="bold")
    for verdict in verdicts:
        denied = verdict.level is Level.DENY
        about = f" ({', '.join(str(address) for address in verdict.addresses)})" if verdict.addresses else ""
        text = one_line(f"{verdict.policy}: {redact_text(verdict.message)}{about}")
        yield Text(f"  {'✗ deny' if denied else '! warn'} {text}", style="bold red" if denied else "yellow")
    yield Text()


def render_outcome(outcome: Outcome) -> Text | None:
    """Return the line for a step that has ended, None for one that begins."""
    what = one_line(f"{outcome.change.action.value} {outcome.change.address}")
    match outcome.status:
        case Status.STARTED:
            return None
        case Status.APPLIED:
            return Text.assemble(("  ✓ ", "green"), what, (f"  {outcome.seconds * 1000:.0f} ms", "dim"))
        case Status.FAILED:
            return Text.assemble(("  ✗ ", "red"), what, (f": {_error(outcome)}", "red"))
        case Status.SKIPPED:
            return Text.assemble(("  - ", "yellow"), what, (f": skipped, {_error(outcome)}", "yellow"))


def _error(outcome: Outcome) -> str:
    """Return what a platform answered, which may repeat what it was sent."""
    return one_line(redact_text(str(outcome.error)))


def render_result(result: ApplyResult) -> Text:
    """Return the last line of an apply: what was done and what is left."""
    done, failed, skipped = (
        len(result.with_status(status)) for status in (Status.APPLIED, Status.FAILED, Status.SKIPPED)
    )
    if result.ok:
        return Text(f"Applied: {count(done, 'step')}.", style="bold green")
    return Text(f"Not all applied: {count(done, 'step')} done, {failed} failed, {skipped} skipped.", style="bold red")
