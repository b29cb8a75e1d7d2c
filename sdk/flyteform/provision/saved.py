"""A saved plan: one JSON file that carries everything its apply needs, code bundles included."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flyteform.errors import InvalidInputError
from flyteform.provision.document import (
    FORMAT,
    FORMAT_VERSION,
    plan_document,
    read_address,
    read_addresses,
    read_change,
    read_verdict,
    where,
)
from flyteform.provision.model import Desired, Entity, Plan, ProjectSettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


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


def _project(project: ProjectSettings) -> dict[str, Any]:
    labels = None if project.labels is None else dict(project.labels)
    return {"id": project.id, "name": project.name, "description": project.description, "labels": labels}


def _entity(entity: Entity) -> dict[str, Any]:
    return {
        **where(entity.address),
        "version": entity.version,
        "spec": _encode(entity.spec),
        "depends_on": [where(address) for address in entity.depends_on],
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
        changes=tuple(read_change(each) for each in document["changes"]),
        destroy=document["destroy"],
        serial=document["serial"],
        refresh_only=document.get("refresh_only", False),
        requests=document.get("requests", 0),
        verdicts=tuple(read_verdict(each) for each in document.get("verdicts", ())),
        allow_breaking=document.get("allow_breaking", False),
    )


def _read_entity(entry: Mapping[str, Any]) -> Entity:
    return Entity(
        read_address(entry),
        entry["version"],
        base64.b64decode(entry["spec"]),
        read_addresses(entry["depends_on"]),
        entry["bundle"],
        entry["active"],
    )
