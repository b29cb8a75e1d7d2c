"""Take over into the state what the platform has: what differs from what was applied last, and the new record. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flyteform.provision.fields import difference
from flyteform.provision.model import Action, Change, Kind
from flyteform.provision.unversioned import UNVERSIONED, comparable, unversioned_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flyteform.provision.model import Address
    from flyteform.provision.observed import Observed
    from flyteform.provision.state import Record


def refreshed(records: Mapping[Address, Record], observed: Observed) -> dict[Address, Record | None]:
    """Return the record of everything owned as the platform has it now, None for what it has no longer."""
    return {address: _observed(address, record, observed) for address, record in records.items()}


def refresh_changes(records: Mapping[Address, Record], found: Mapping[Address, Record | None]) -> Iterator[Change]:
    """Yield what the state takes over; nothing of it is written to the platform."""
    for address in sorted(records):
        before, after = records[address], found[address]
        if after is None:
            fields = difference(_fields(before), {})
            yield Change(Action.REFRESH, address, "is gone from the platform", None, before.version, fields, drift=True)
        elif after != before:
            fields = difference(_fields(before), _fields(after))
            reason = "the platform has it otherwise"
            yield Change(Action.REFRESH, address, reason, after.version, before.version, fields, drift=True)


def _fields(record: Record) -> dict[str, str]:
    fields = dict(record.fields)
    if record.version is not None:
        fields["version"] = record.version
    if record.active is not None:
        fields["active"] = str(record.active).lower()
    return fields


def _observed(address: Address, record: Record, observed: Observed) -> Record | None:
    if address.kind is Kind.PROJECT:
        return _project(address, record, observed)
    if address.kind in UNVERSIONED:
        return _unversioned(address, record, observed)
    if address not in observed.present or address in observed.archived:
        return None
    version = record.version
    if version is not None and (address, version) not in observed.registered:
        version = None
    if record.active is None:
        return replace(record, version=version)
    active = observed.active.get(address)
    if active is not None:
        return replace(record, version=active.version, active=True)
    return replace(record, version=version, active=False)


def _project(address: Address, record: Record, observed: Observed) -> Record | None:
    project = observed.projects.get(address.project)
    if project is None or project.archived:
        return None
    known = {"name": project.name, "description": project.description, "state": "active"}
    known |= {f"labels.{key}": text for key, text in project.labels.items()}
    return replace(record, fields={path: known[path] for path in record.fields if path in known})


def _unversioned(address: Address, record: Record, observed: Observed) -> Record | None:
    spec = observed.settings.get(address)
    if spec is None:
        return None
    known = comparable(address, unversioned_fields(address, spec), record.fields)
    # What is said otherwise and means the same is as it was.
    return record if known == record.fields else replace(record, fields=known, spec=spec)
