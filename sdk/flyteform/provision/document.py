"""A plan as JSON values: what `plan --json` prints and a saved plan begins with. Described by `plan.schema.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyteform.provision.impact.model import Impact, ImpactKind, ImpactValue, Severity
from flyteform.provision.model import Action, Address, Change, FieldChange, Kind
from flyteform.provision.redaction import redact_change, redact_text
from flyteform.provision.verdicts import Level, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flyteform.provision.model import Plan

FORMAT = "flyteform-plan"
FORMAT_VERSION = 1


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return the plan without secrets. The same plan gives the same document."""
    counts = plan.counts
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "endpoint": plan.endpoint,
        "destroy": plan.destroy,
        "refresh_only": plan.refresh_only,
        "summary": {
            "create": counts.create,
            "update": counts.update,
            "archive": counts.archive,
            "unchanged": counts.unchanged,
            "drift": len({change.address for change in plan.steps if change.drift}),
            "breaking": len({change.address for change in plan.steps if change.breaking}),
        },
        "requests": plan.requests,
        "allow_breaking": plan.allow_breaking,
        "verdicts": [_verdict(each) for each in plan.verdicts],
        "changes": [_change(change) for change in plan.changes],
    }


def where(address: Address) -> dict[str, str]:
    """Write an address."""
    return {"kind": address.kind.value, "project": address.project, "domain": address.domain, "name": address.name}


def read_address(entry: Mapping[str, str]) -> Address:
    """Read an address."""
    return Address(Kind(entry["kind"]), entry["project"], entry["domain"], entry["name"])


def read_addresses(entries: Iterable[Mapping[str, str]]) -> tuple[Address, ...]:
    """Read a list of addresses."""
    return tuple(read_address(entry) for entry in entries)


def read_change(entry: Mapping[str, Any]) -> Change:
    """Read a change; what earlier releases did not write is as if it had not been said."""
    return Change(
        Action(entry["action"]),
        read_address(entry),
        entry["reason"],
        entry["version"],
        entry["previous_version"],
        tuple(FieldChange(each["path"], each["before"], each["after"]) for each in entry["fields"]),
        read_addresses(entry["depends_on"]),
        drift=entry.get("drift", False),
        moved_from=read_address(entry["moved_from"]) if entry.get("moved_from") else None,
        impacts=tuple(_read_impact(each) for each in entry.get("impacts", ())),
        breaking=entry.get("breaking", False),
    )


def read_verdict(entry: Mapping[str, Any]) -> Verdict:
    """Read what a policy said."""
    return Verdict(entry["policy"], Level(entry["level"]), entry["message"], read_addresses(entry["addresses"]))


def _change(change: Change) -> dict[str, Any]:
    change = redact_change(change)
    return {
        **where(change.address),
        "action": change.action.value,
        "reason": change.reason,
        "version": change.version,
        "previous_version": change.previous,
        "drift": change.drift,
        "moved_from": None if change.moved_from is None else where(change.moved_from),
        "fields": [{"path": each.path, "before": each.before, "after": each.after} for each in change.fields],
        "breaking": change.breaking,
        "impacts": [_impact(each) for each in change.impacts],
        "depends_on": [where(address) for address in change.depends_on],
    }


def _impact(impact: Impact) -> dict[str, Any]:
    return {
        "kind": impact.kind.value,
        "severity": impact.severity.value,
        "message": redact_text(impact.message),
        "fields": {name: list(value) if isinstance(value, tuple) else value for name, value in impact.fields},
    }


def _read_impact(entry: Mapping[str, Any]) -> Impact:
    fields: list[tuple[str, ImpactValue]] = [
        (name, tuple(value) if isinstance(value, list) else value) for name, value in entry["fields"].items()
    ]
    return Impact(ImpactKind(entry["kind"]), Severity(entry["severity"]), entry["message"], tuple(fields))


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "policy": verdict.policy,
        "level": verdict.level.value,
        "message": redact_text(verdict.message),
        "addresses": [where(address) for address in verdict.addresses],
    }
