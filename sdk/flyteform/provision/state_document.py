"""The text of a state: one JSON document, its versions, and how those of former releases are read."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from flyteform.provision.errors import StateError
from flyteform.provision.model import Address, Kind
from flyteform.provision.state import Record, Run, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FORMAT = "flyteform-state"
FORMAT_VERSION = 2
_RESTORE = "restore it from a copy, or name another one with --state"


def dump_state(state: State) -> str:
    """Write the document: sorted, one resource a line group, so that it reads and diffs well."""
    document = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "lineage": state.lineage,
        "serial": state.serial,
        "resources": [_entry(address, state.records[address]) for address in sorted(state.records)],
        "history": [_run(run) for run in state.runs],
    }
    return json.dumps(document, indent=2) + "\n"


def load_state(text: str, location: str) -> State:
    """Read the document, also one of a former format; `StateError` if it is none, or of a later release."""
    try:
        document = json.loads(text)
        form, version = document["format"], int(document["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(f"{location} is no state document", remedy=_RESTORE) from error
    if form != FORMAT or version < 1:
        raise StateError(f"{location} is no state document", remedy=_RESTORE)
    if version > FORMAT_VERSION:
        raise StateError(
            f"{location} was written by a later release (format {version})", remedy="upgrade flyteform on this machine"
        )
    try:
        for former in range(version, FORMAT_VERSION):
            document = _UPGRADES[former](document)
        return _state(document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(f"{location} is a damaged state document", remedy=_RESTORE) from error


def _from_1(document: Mapping[str, Any]) -> dict[str, Any]:
    """Format 1 had versions alone: no history, and no lineage, which the next write gives."""
    return {**document, "version": 2, "lineage": "", "history": []}


_UPGRADES: Mapping[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = {1: _from_1}


def _state(document: Mapping[str, Any]) -> State:
    return State(
        int(document["serial"]),
        {_address(entry): _record(entry) for entry in document["resources"]},
        document["lineage"],
        tuple(_read_run(entry) for entry in document["history"]),
    )


def _entry(address: Address, record: Record | None) -> dict[str, Any]:
    """Write one resource; what says nothing is left out."""
    where = {"kind": address.kind.value, "project": address.project, "domain": address.domain, "name": address.name}
    if record is None:
        return {**where, "absent": True}
    entry: dict[str, Any] = {**where, "version": record.version}
    if record.active is not None:
        entry["active"] = record.active
    if record.fields:
        entry["fields"] = dict(sorted(record.fields.items()))
    if record.spec is not None:
        entry["spec"] = base64.b64encode(record.spec).decode()
    if record.protect:
        entry["protect"] = True
    return entry


def _run(run: Run) -> dict[str, Any]:
    before = [_entry(address, run.before[address]) for address in sorted(run.before)]
    return {"serial": run.serial, "at": run.at, "by": run.by, "before": before}


def _address(entry: Mapping[str, Any]) -> Address:
    return Address(Kind(entry["kind"]), entry["project"], entry["domain"], entry["name"])


def _record(entry: Mapping[str, Any]) -> Record:
    fields = {str(key): str(value) for key, value in entry.get("fields", {}).items()}
    spec = entry.get("spec")
    return Record(
        entry["version"],
        entry.get("active"),
        fields,
        bool(entry.get("protect", False)),
        None if spec is None else base64.b64decode(spec),
    )


def _read_run(entry: Mapping[str, Any]) -> Run:
    before = {_address(each): None if each.get("absent") else _record(each) for each in entry["before"]}
    return Run(int(entry["serial"]), entry["at"], entry["by"], before)
