"""Executions that go on with the version that they were started with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform.provision.impact.facts import Count
from flyteform.provision.impact.model import Impact, ImpactKind, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flyteform.provision.impact.facts import InFlight

_VERSION_CHARACTERS = 12


def judge_executions(found: InFlight | None) -> Iterator[Impact]:
    """Yield how many executions are in flight, by version; nothing if there are none."""
    if found is None or found.count == Count(0):
        return
    versions = tuple(sorted(found.versions.items()))
    if found.count is None:
        message = "an unknown number of executions is in flight: they cannot be listed"
    else:
        shown = ", ".join(f"{number} on {version[:_VERSION_CHARACTERS]}" for version, number in versions)
        verb, noun = ("goes", "execution") if found.count == Count(1) else ("go", "executions")
        message = f"{found.count} {noun} in flight {verb} on with the old version ({shown})"
    fields = (
        ("executions", "unknown" if found.count is None else found.count.number),
        ("more", found.count is not None and found.count.more),
        ("versions", tuple(f"{version}={number}" for version, number in versions)),
        ("names", found.names),
    )
    yield Impact(ImpactKind.EXECUTIONS, Severity.INFO, message, fields)
