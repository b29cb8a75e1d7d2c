"""Plans and their application as people read them: what changes, field by field, and when schedules fire."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flyteidl.admin import launch_plan_pb2
from rich.console import Console, Group
from rich.text import Text

from flyteform import schedules
from flyteform.provision.apply import Status
from flyteform.provision.model import REMOVALS, Action, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flyteform.provision.apply import ApplyResult, Outcome
    from flyteform.provision.model import Address, Change, FieldChange, Plan

_STYLES = {"+": "green", "~": "yellow", "-": "red"}
_VERSION_CHARACTERS = 12
_FIELDS_PER_GROUP = 12
_VALUE_CHARACTERS = 160
_FIRINGS = 3


def print_lines(content: Group | Text) -> None:
    """Print for people: in colour on a terminal only, and with no line broken elsewhere."""
    console = Console(highlight=False)
    console.print(content, soft_wrap=not console.is_terminal)


def render(plan: Plan, now: datetime | None = None) -> Group:
    """Return a plan for people; `now` is where the next firings of schedules are counted from."""
    if not plan.has_changes:
        text = f"is as declared ({_count(plan.counts.unchanged, 'resource')})"
        return Group(Text(f"No changes: {plan.endpoint} {'has nothing to destroy' if plan.destroy else text}."))
    lines = [Text(f"On {plan.endpoint}:", style="bold"), Text()]
    for address, changes in _by_address(plan.steps):
        lines += _resource_lines(plan, address, changes, now or datetime.now(UTC))
        lines.append(Text())
    counts = plan.counts
    summary = f"Plan: {counts.create} to create, {counts.update} to update, {counts.archive} to archive."
    return Group(*lines, Text(summary, style="bold"))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _by_address(changes: Iterable[Change]) -> Iterable[tuple[Address, list[Change]]]:
    """Group the steps by resource, in the order in which each is first touched."""
    grouped: dict[Address, list[Change]] = {}
    for change in changes:
        grouped.setdefault(change.address, []).append(change)
    return grouped.items()


def _resource_lines(plan: Plan, address: Address, changes: Sequence[Change], now: datetime) -> Iterator[Text]:
    symbol = _symbol(changes)
    place = f"  {address.project}/{address.domain}" if address.domain else ""
    yield Text.assemble(
        ("  " + symbol + " ", _STYLES[symbol]),
        (f"{address.kind.label} ", ""),
        (address.name, "bold"),
        (place, "dim"),
    )
    for change in changes:
        yield Text.assemble(("      ", ""), (_headline(change), "italic"))
        yield from _field_lines(change.fields)
    if address.kind is Kind.LAUNCH_PLAN and symbol != "-":
        yield from _firing_lines(plan, address, now)


def _symbol(changes: Sequence[Change]) -> str:
    actions = {change.action for change in changes}
    if Action.CREATE in actions:
        return "+"
    return "-" if actions & REMOVALS else "~"


def _headline(change: Change) -> str:
    version, previous = _short(change.version), _short(change.previous)
    match change.action:
        case Action.CREATE:
            return f"create version {version}" if version else "create"
        case Action.NEW_VERSION:
            return f"new version {previous} → {version}: {change.reason}"
        case Action.ACTIVATE:
            return f"activate {version}: {change.reason}"
        case Action.DEACTIVATE:
            return f"deactivate {version}: {change.reason}"
        case _:
            return f"{change.action.value}: {change.reason}"


def _short(version: str | None) -> str:
    return (version or "")[:_VERSION_CHARACTERS]


def _field_lines(fields: Sequence[FieldChange]) -> Iterator[Text]:
    """Yield one line a field; of groups with many members (nodes, environment) only the first ones."""
    groups: dict[str, list[FieldChange]] = {}
    for each in fields:
        if each.path != "active" and not each.path.startswith("calls."):
            groups.setdefault(each.path.partition(".")[0], []).append(each)
    width = max((len(each.path) for group in groups.values() for each in group[:_FIELDS_PER_GROUP]), default=0)
    for name, group in groups.items():
        for each in group[:_FIELDS_PER_GROUP]:
            yield _field_line(each, width)
        if len(group) > _FIELDS_PER_GROUP:
            yield Text(f"          … {len(group) - _FIELDS_PER_GROUP} more of {name}", style="dim")


def _field_line(each: FieldChange, width: int) -> Text:
    symbol = "+" if each.before is None else "-" if each.after is None else "~"
    values = " → ".join(_value(value) for value in (each.before, each.after) if value is not None)
    return Text.assemble(("        " + symbol, _STYLES[symbol]), f" {each.path:<{width}}  {values}")


def _value(text: str) -> str:
    """Keep a value on one line of bearable length."""
    line = " ".join(text.split())
    return line if len(line) <= _VALUE_CHARACTERS else f"{line[:_VALUE_CHARACTERS]}…"


def _firing_lines(plan: Plan, address: Address, now: datetime) -> Iterator[Text]:
    """Say when the schedule fires next, if this version is to be active."""
    entity = next((each for each in plan.desired.entities if each.address == address), None)
    if entity is None or not entity.active:
        return
    spec = launch_plan_pb2.LaunchPlanSpec.FromString(entity.spec)
    schedule = schedules.from_idl(spec.entity_metadata.schedule)
    if schedule is not None:
        times = schedules.firings(schedule, now, _FIRINGS)
        shown = ", ".join(f"{time:%Y-%m-%d %H:%M}" for time in times) or "never again"
        yield Text.assemble(("        ", ""), (f"fires next: {shown} UTC" if times else f"fires {shown}", "cyan"))


def render_outcome(outcome: Outcome) -> Text | None:
    """Return the line for a step that has ended, None for one that begins."""
    what = f"{outcome.change.action.value} {outcome.change.address}"
    match outcome.status:
        case Status.STARTED:
            return None
        case Status.APPLIED:
            return Text.assemble(("  ✓ ", "green"), what, (f"  {outcome.seconds * 1000:.0f} ms", "dim"))
        case Status.FAILED:
            return Text.assemble(("  ✗ ", "red"), what, (f": {outcome.error}", "red"))
        case Status.SKIPPED:
            return Text.assemble(("  - ", "yellow"), what, (f": skipped, {outcome.error}", "yellow"))


def render_result(result: ApplyResult) -> Text:
    """Return the last line of an apply: what was done and what is left."""
    done, failed, skipped = (
        len(result.with_status(status)) for status in (Status.APPLIED, Status.FAILED, Status.SKIPPED)
    )
    if result.ok:
        return Text(f"Applied: {_count(done, 'step')}.", style="bold green")
    return Text(f"Not all applied: {_count(done, 'step')} done, {failed} failed, {skipped} skipped.", style="bold red")
