"""How plans are put into words, whatever they are printed as."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from flyteform.provision.impact.model import ImpactKind
from flyteform.provision.model import REMOVALS, Action, Kind
from flyteform.provision.redaction import redact_field, redact_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flyteform.provision.impact.model import Impact
    from flyteform.provision.model import Address, Change, FieldChange, Plan

_VERSION_CHARACTERS = 12


def by_address(changes: Iterable[Change]) -> dict[Address, list[Change]]:
    """Group the steps by resource, in the order in which each is first touched."""
    grouped: dict[Address, list[Change]] = {}
    for change in changes:
        grouped.setdefault(change.address, []).append(change)
    return grouped


def symbol(changes: Sequence[Change]) -> str:
    """Return + for what is new, - for what goes, ~ for what changes."""
    actions = {change.action for change in changes}
    if Action.CREATE in actions:
        return "+"
    return "-" if actions & REMOVALS else "~"


def headline(change: Change) -> str:
    """Say what a step does, and why."""
    version, previous, reason = short(change.version), short(change.previous), one_line(change.reason)
    match change.action:
        case Action.CREATE:
            return f"create version {version}" if version else "create"
        case Action.NEW_VERSION:
            return f"new version {previous} → {version}: {reason}"
        case Action.ACTIVATE:
            return f"activate {version}: {reason}"
        case Action.DEACTIVATE:
            return f"deactivate {version}: {reason}"
        case _:
            return f"{change.action.value}: {reason}"


def short(version: str | None) -> str:
    """Return as much of a version as people need to tell it from others."""
    return one_line(version or "")[:_VERSION_CHARACTERS]


def place(address: Address) -> str:
    """Say where something lies, "" for a project."""
    if address.kind is Kind.PROJECT:
        return ""
    return f"{address.project}/{address.domain}" if address.domain else address.project


def shown_fields(change: Change) -> list[FieldChange]:
    """Return the fields that people need to see, without secrets: not those that the headline says."""
    return [
        redact_field(each) for each in change.fields if each.path != "active" and not each.path.startswith("calls.")
    ]


def impact_lines(impact: Impact) -> list[str]:
    """Say what a change means; of a schedule in lines, as rows of times are compared better than a sentence is read."""
    fields = dict(impact.fields)
    if impact.kind is not ImpactKind.SCHEDULE or fields.get("before") == fields.get("after"):
        return [redact_text(impact.message)]
    before, after = fields.get("before"), fields.get("after")
    lines = [f"schedule: {' → '.join(str(each) for each in (before, after) if each)}{'' if after else ' ends'}"]
    for word, label in (("before", "was"), ("after", "now")):
        times = fields.get(f"{word}_firings")
        if fields.get(word) is not None and isinstance(times, tuple):
            lines.append(f"{label}: {', '.join(times) or 'never'}")
    if fields.get("after_kickoff_time_input"):
        lines.append(f"the time goes to the input {fields['after_kickoff_time_input']}")
    return lines


def summary(plan: Plan) -> str:
    """Count in one line what a plan does."""
    counts = plan.counts
    text = f"Plan: {counts.create} to create, {counts.update} to update, {counts.archive} to archive"
    broken = len({change.address for change in plan.steps if change.breaking})
    drifted = len({change.address for change in plan.steps if change.drift})
    return text + (f", {drifted} drifted" if drifted else "") + (f", {broken} breaking" if broken else "") + "."


def nothing(plan: Plan) -> str:
    """Say that there is nothing to do."""
    text = f"is as declared ({count(plan.counts.unchanged, 'resource')})"
    return f"No changes: {one_line(plan.endpoint)} {'has nothing to destroy' if plan.destroy else text}."


def count(number: int, noun: str) -> str:
    """Write a number of things."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def one_line(text: str, limit: int | None = None) -> str:
    """Return a text without line ends and without what a terminal would act on, cut after `limit` characters."""
    line = " ".join((text if text.isprintable() else "".join(map(_printable, text))).split())
    if limit is None or len(line) <= limit:
        return line
    return f"{line[:limit]}… ({len(line)} characters)"


def _printable(character: str) -> str:
    if character.isspace():
        return " "
    # Control, format (also those that turn the direction of text around), surrogate and private characters.
    return "�" if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co") else character
