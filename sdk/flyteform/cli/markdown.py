"""A plan as a comment on a pull request: GitHub's Markdown, details folded, never longer than a comment may be.

All that users wrote stands in code: nothing in it is taken for markup, a mention, or a reference to an issue.
"""

from __future__ import annotations

import html
import itertools
import re
from typing import TYPE_CHECKING

from flyteform.cli.wording import (
    by_address,
    headline,
    impact_lines,
    nothing,
    one_line,
    place,
    shown_fields,
    summary,
    symbol,
)
from flyteform.provision.gate import breaking
from flyteform.provision.impact.model import Severity
from flyteform.provision.redaction import redact_text
from flyteform.provision.verdicts import Level

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flyteform.provision.impact.model import Impact
    from flyteform.provision.model import Address, Change, FieldChange, Plan
    from flyteform.provision.verdicts import Verdict

    _Groups = dict[Address, list[Change]]

LIMIT = 65_536  # characters of a comment on GitHub
_ROOM_FOR_END = 200
_VALUE_CHARACTERS = 300
_ROWS = 40
_IMPACTS = 20
_NAMES = 20
_PIPE = re.compile(r"(\\*)\|")
_MARKS = {Severity.INFO: "•", Severity.WARNING: "⚠️", Severity.BREAKING: "❌"}


def render_markdown(plan: Plan, limit: int = LIMIT) -> str:
    """Return the plan as Markdown of at most `limit` characters; what has no room is counted."""
    if not plan.has_changes:
        return _joined([f"### {_code(nothing(plan))}", *_verdict_blocks(plan.verdicts)], iter(()), 0, limit)
    head = [f"### {summary(plan)}", f"On {_code(plan.endpoint)}", *_alarms(plan), *_verdict_blocks(plan.verdicts)]
    groups = [by_address(step for step in plan.steps if step.drift is drift) for drift in (False, True)]
    return _joined(head, _resources(*groups), sum(map(len, groups)), limit)


def _resources(changes: _Groups, drifted: _Groups) -> Iterator[str]:
    for address, group in changes.items():
        yield _resource(address, group)
    title = "#### Drift: the platform is no longer as it was applied\n\n"
    for address, group in drifted.items():
        yield f"{title}{_resource(address, group)}"
        title = ""


def _joined(head: Sequence[str], resources: Iterator[str], total: int, limit: int) -> str:
    """Join the blocks that have room, whole ones only, so that the markup is never cut."""
    text, left = "", total
    for block in itertools.chain(head, resources):
        if len(text) + len(block) + 2 > limit - _ROOM_FOR_END:
            return f"{text}_… and {left} more: the plan is too long for a comment, see the log._\n"
        text += f"{block}\n\n"
        left -= block.startswith(("<details", "####"))
    return f"{text.rstrip()}\n"


def _alarms(plan: Plan) -> Iterator[str]:
    broken = breaking(plan)
    if broken:
        names = ", ".join(_code(str(address)) for address in broken[:_NAMES])
        more = f" and {len(broken) - _NAMES} more" if len(broken) > _NAMES else ""
        allowed = "allowed by `--allow-breaking`" if plan.allow_breaking else "refused without `--allow-breaking`"
        yield f"> [!CAUTION]\n> Breaks callers of {names}{more}: {allowed}."


def _verdict_blocks(verdicts: Sequence[Verdict]) -> Iterator[str]:
    if verdicts:
        lines = [
            f"- {'❌ denied' if each.level is Level.DENY else '⚠️ warned'} by {_code(each.policy)}: "
            f"{_code(redact_text(each.message))}" + "".join(f" {_code(str(one))}" for one in each.addresses[:_NAMES])
            for each in verdicts[:_NAMES]
        ]
        more = [f"- … and {len(verdicts) - _NAMES} more"] if len(verdicts) > _NAMES else []
        yield "\n".join(["**Policies**", "", *lines, *more])


def _resource(address: Address, changes: Sequence[Change]) -> str:
    """Return one resource as a folded block; what breaks is open from the start."""
    impacts = [impact for change in changes for impact in change.impacts]
    is_open = " open" if any(each.severity is Severity.BREAKING for each in impacts) else ""
    where = f" in {_html(place(address))}" if place(address) else ""
    marks = "".join(_MARKS[each] for each in Severity if each is not Severity.INFO and _has(impacts, each))
    title = f"{symbol(changes)} {address.kind.label} {_html(address.name)}{where} {marks}".rstrip()
    parts = [f"<details{is_open}><summary>{title}</summary>"]
    for change in changes:
        parts.append(f"{_code(redact_text(headline(change)))}")
        parts += _table(shown_fields(change))
        parts += _impacts(change.impacts)
    return "\n\n".join([*parts, "</details>"])


def _has(impacts: Sequence[Impact], severity: Severity) -> bool:
    return any(each.severity is severity for each in impacts)


def _table(fields: Sequence[FieldChange]) -> Iterator[str]:
    if not fields:
        return
    rows = [f"| {_cell(each.path)} | {_cell(each.before)} | {_cell(each.after)} |" for each in fields[:_ROWS]]
    more = [f"| … {len(fields) - _ROWS} more | | |"] if len(fields) > _ROWS else []
    yield "\n".join(["| field | before | after |", "|---|---|---|", *rows, *more])


def _impacts(impacts: Sequence[Impact]) -> Iterator[str]:
    if not impacts:
        return
    lines = [
        f"- {_MARKS[each.severity]} {_code(line)}" if index == 0 else f"  - {_code(line)}"
        for each in impacts[:_IMPACTS]
        for index, line in enumerate(impact_lines(each))
    ]
    more = [f"- … and {len(impacts) - _IMPACTS} more"] if len(impacts) > _IMPACTS else []
    yield "\n".join([*lines, *more])


def _cell(value: str | None) -> str:
    """Return a cell: a pipe ends one even inside of code, and nothing helps against that after a backslash."""
    return "" if value is None else _PIPE.sub(lambda found: f"{found[1]}¦" if found[1] else "\\|", _code(value))


def _code(text: str) -> str:
    """Return a text as code, within as many backticks as no run of them in the text has."""
    line = one_line(text, _VALUE_CHARACTERS)
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    fence = "`" * (longest + 1)
    padding = " " if not line or "`" in (line[0], line[-1]) else ""
    return f"{fence}{padding}{line}{padding}{fence}" if line else "` `"


def _html(text: str) -> str:
    """Return a text as code inside of HTML, where Markdown's own code is not read."""
    return f"<code>{html.escape(one_line(text, _VALUE_CHARACTERS))}</code>"
