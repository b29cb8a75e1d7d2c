"""A saved plan: one JSON file that carries everything its apply needs, code bundles included."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flyteform.errors import InvalidInputError
from flyteform.provision.model import (
    Action,
    Address,
    Change,
    Desired,
    Entity,
    FieldChange,
    Kind,
    Plan,
    ProjectSettings,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

FORMAT = "flyteform-plan"
FORMAT_VERSION = 1


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON values: what `plan --json` prints. The same plan gives the same document."""
    counts = plan.counts
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "endpoint": plan.endpoint,
        "destroy": plan.destroy,
        "summary": {
            "create": counts.create,
            "update": counts.update,
            "archive": counts.archive,
            "unchanged": counts.unchanged,
        },
        "changes": [_change(change) for change in plan.changes],
    }


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A plan that was saved, and where the state lies that it was made from."""

    plan: Plan
    state: str


def dump_plan(plan: Plan, state: str) -> str:
    """Write a plan with what it would register; `state` is the location of its state."""
    desired = {
        "projects": [_project(project) for project in plan.desired.projects],
        "entities": [_entity(entity) for entity in plan.desired.entities],
        "bundles": {digest: _encode(data) for digest, data in sorted(plan.desired.bundles.items())},
    }
    return (
        json.dumps(
            {**plan_document(plan), "serial": plan.serial, "state": state, "desired": desired}, indent=1, sort_keys=True
        )
        + "\n"
    )


def read_plan(path: Path) -> SavedPlan:
    """Read a saved plan; `InvalidInputError` if the file is none, or of a later format."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        known = document["format"] == FORMAT and document["version"] == FORMAT_VERSION
        plan = SavedPlan(_plan(document), str(document["state"])) if known else None
    except (OSError, ValueError, KeyError, TypeError):
        plan = None
    if plan is None:
        raise InvalidInputError(
            f"{path} is no saved plan of this release", remedy="make one with: flyteform plan PATH --out FILE"
        )
    return plan


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _where(address: Address) -> dict[str, str]:
    return {"kind": address.kind.value, "project": address.project, "domain": address.domain, "name": address.name}


def _change(change: Change) -> dict[str, Any]:
    return {
        **_where(change.address),
        "action": change.action.value,
        "reason": change.reason,
        "version": change.version,
        "previous_version": change.previous,
        "fields": [{"path": each.path, "before": each.before, "after": each.after} for each in change.fields],
        "depends_on": [_where(address) for address in change.depends_on],
    }


def _project(project: ProjectSettings) -> dict[str, Any]:
    labels = None if project.labels is None else dict(project.labels)
    return {"id": project.id, "name": project.name, "description": project.description, "labels": labels}


def _entity(entity: Entity) -> dict[str, Any]:
    return {
        **_where(entity.address),
        "version": entity.version,
        "spec": _encode(entity.spec),
        "depends_on": [_where(address) for address in entity.depends_on],
        "bundle": entity.bundle,
        "active": entity.active,
    }


def _plan(document: Mapping[str, Any]) -> Plan:
    desired = document["desired"]
    return Plan(
        endpoint=document["endpoint"],
        desired=Desired(
            tuple(ProjectSettings(**each) for each in desired["projects"]),
            tuple(_read_entity(each) for each in desired["entities"]),
            {digest: base64.b64decode(data) for digest, data in desired["bundles"].items()},
        ),
        changes=tuple(_read_change(each) for each in document["changes"]),
        destroy=document["destroy"],
        serial=document["serial"],
    )


def _read_address(entry: Mapping[str, str]) -> Address:
    return Address(Kind(entry["kind"]), entry["project"], entry["domain"], entry["name"])


def _read_addresses(entries: Iterable[Mapping[str, str]]) -> tuple[Address, ...]:
    return tuple(_read_address(entry) for entry in entries)


def _read_entity(entry: Mapping[str, Any]) -> Entity:
    return Entity(
        _read_address(entry),
        entry["version"],
        base64.b64decode(entry["spec"]),
        _read_addresses(entry["depends_on"]),
        entry["bundle"],
        entry["active"],
    )


def _read_change(entry: Mapping[str, Any]) -> Change:
    return Change(
        Action(entry["action"]),
        _read_address(entry),
        entry["reason"],
        entry["version"],
        entry["previous_version"],
        tuple(FieldChange(each["path"], each["before"], each["after"]) for each in entry["fields"]),
        _read_addresses(entry["depends_on"]),
    )
