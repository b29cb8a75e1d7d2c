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
from flyteform.provision.model import Address, Desired, Entity, Options, Plan, ProjectSettings, Setting
from flyteform.provision.unversioned import unversioned_fields

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
        "settings": [_setting(setting) for setting in plan.desired.settings],
        "options": [_options(address, plan.desired.options[address]) for address in sorted(plan.desired.options)],
    }
    own = {
        "serial": plan.serial,
        "state": state,
        "desired": desired,
        "untouched": [where(address) for address in sorted(plan.untouched)],
    }
    return json.dumps({**plan_document(plan), **own}, indent=1, sort_keys=True) + "\n"


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
        "code": dict(entity.code),
    }


def _setting(setting: Setting) -> dict[str, Any]:
    """Write something without versions; the values of its fields, which may be secrets, are read from its spec."""
    return {
        **where(setting.address),
        "spec": _encode(setting.spec),
        "fields": sorted(setting.fields),
        "depends_on": [where(address) for address in setting.depends_on],
    }


def _options(address: Address, options: Options) -> dict[str, Any]:
    return {
        **where(address),
        "protect": options.protect,
        "ignore_changes": list(options.ignore_changes),
        "depends_on": [where(each) for each in options.depends_on],
        "moved": [where(each) for each in options.moved],
    }


def _plan(document: Mapping[str, Any]) -> Plan:
    return Plan(
        endpoint=document["endpoint"],
        desired=_desired(document["desired"]),
        changes=tuple(read_change(each) for each in document["changes"]),
        destroy=document["destroy"],
        serial=document["serial"],
        refresh_only=document.get("refresh_only", False),
        untouched=frozenset(read_addresses(document.get("untouched", ()))),
        requests=document.get("requests", 0),
        verdicts=tuple(read_verdict(each) for each in document.get("verdicts", ())),
        allow_breaking=document.get("allow_breaking", False),
    )


def _desired(desired: Mapping[str, Any]) -> Desired:
    """Read what is wanted; what earlier releases did not write is as if it had not been declared."""
    return Desired(
        tuple(ProjectSettings(**each) for each in desired["projects"]),
        tuple(_read_entity(each) for each in desired["entities"]),
        {digest: base64.b64decode(data) for digest, data in desired["bundles"].items()},
        tuple(_read_setting(each) for each in desired.get("settings", ())),
        {read_address(each): _read_options(each) for each in desired.get("options", ())},
    )


def _read_entity(entry: Mapping[str, Any]) -> Entity:
    return Entity(
        read_address(entry),
        entry["version"],
        base64.b64decode(entry["spec"]),
        read_addresses(entry["depends_on"]),
        entry["bundle"],
        entry["active"],
        entry.get("code", {}),
    )


def _read_setting(entry: Mapping[str, Any]) -> Setting:
    address, spec = read_address(entry), base64.b64decode(entry["spec"])
    fields = {path: text for path, text in unversioned_fields(address, spec).items() if path in entry["fields"]}
    return Setting(address, spec, fields, read_addresses(entry["depends_on"]))


def _read_options(entry: Mapping[str, Any]) -> Options:
    return Options(
        entry["protect"],
        tuple(entry["ignore_changes"]),
        read_addresses(entry["depends_on"]),
        read_addresses(entry["moved"]),
    )
