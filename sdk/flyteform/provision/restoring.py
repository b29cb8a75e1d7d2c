"""What was applied once as something that is wanted again: for drift, and for going back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flyteform.errors import InvalidInputError, NotFoundError
from flyteform.provision.errors import StateError
from flyteform.provision.model import Action, Desired, Entity, Kind, Plan, ProjectSettings, Setting
from flyteform.provision.observe import observe
from flyteform.provision.provisioner import compare
from flyteform.provision.state import NOTHING, State

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from flyteform.client.admin import AdminClient
    from flyteform.provision.model import Address, Change
    from flyteform.provision.state import Record

_VERSIONED = frozenset({Kind.TASK, Kind.WORKFLOW, Kind.LAUNCH_PLAN})


def desired_of_records(records: Mapping[Address, Record]) -> Desired:
    """Return what the records say as a desired state; what is owned without being applied is left out."""
    applied = {address: record for address, record in sorted(records.items()) if record != NOTHING}
    return Desired(
        projects=tuple(_project(each, record) for each, record in applied.items() if each.kind is Kind.PROJECT),
        entities=tuple(
            Entity(address, record.version, b"", active=record.active)
            for address, record in applied.items()
            if address.kind in _VERSIONED and record.version is not None
        ),
        settings=tuple(
            Setting(address, record.spec, record.fields)
            for address, record in applied.items()
            if record.spec is not None
        ),
    )


async def find_drift(client: AdminClient, state: State) -> Plan:
    """Return what would bring the platform back to what was applied last; its steps are the drift."""
    desired = desired_of_records(state.records)
    known = {each: state.records[each] for each in desired.addresses}
    # A project that is used without being owned may have gone, too.
    used = sorted({address.project for address in known} - {"", *(project.id for project in desired.projects)})
    desired = replace(desired, projects=(*desired.projects, *map(ProjectSettings, used)))
    plan = await compare(desired, client, replace(state, records=known))
    changes = (each for each in plan.changes if each.address in known or each.action is not Action.NO_OP)
    return replace(plan, changes=tuple(map(_drifted, changes)))


@dataclass(frozen=True, slots=True)
class Return:
    """Where to go back to: the record of each address that is concerned, None for what was not owned then."""

    goals: Mapping[Address, Record | None]


async def return_to(
    client: AdminClient,
    state: State,
    *,
    address: Address | None = None,
    version: str | None = None,
    serial: int | None = None,
) -> Return:
    """Return what to go back to: everything as the apply of `serial` left it, or one address as it was before.

    Without `version` that is the one before the present one; a workflow takes its launch plans with it.
    """
    if address is None:
        then = state.at(serial or 0)
        return Return({each: then.get(each) for each in sorted(state.owned | then.keys())})
    then = state.at(earlier(state, address, version))
    concerned = await _with_launch_plans(client, state, address)
    return Return({each: then.get(each, state.records[each]) for each in sorted(concerned)})


async def plan_return(client: AdminClient, state: State, target: Return) -> Plan:
    """Plan to bring back these records, and to take out of use what was not owned then.

    `StateError` if a version of them is no longer registered.
    """
    wanted = {address: record for address, record in target.goals.items() if record is not None}
    leaving = {address: state.records[address] for address, record in target.goals.items() if record is None}
    changed = {address for address, record in wanted.items() if state.records.get(address) != record}
    desired = await _with_specs(client, desired_of_records(wanted), changed)
    plan = await compare(desired, client, replace(state, records=leaving))
    if (lost := next((change for change in plan.changes if _is_lost(change)), None)) is not None:
        raise StateError(
            f"version {lost.version} of {lost.address} is no longer registered",
            remedy="check out the sources of that time and apply them",
        )
    return plan


async def _with_specs(client: AdminClient, desired: Desired, changed: Collection[Address]) -> Desired:
    """Read the launch plans that change: what a schedule will do, the plan can only tell from their specs."""

    async def complete(entity: Entity) -> Entity:
        address = entity.address
        if address.kind is not Kind.LAUNCH_PLAN or address not in changed:
            return entity
        rows = client.list_launch_plans(
            address.project, address.domain, name=address.name, filters=f"eq(version,{entity.version})"
        )
        async for row in rows:
            return replace(entity, spec=row.spec.SerializeToString(deterministic=True))
        return entity

    return replace(desired, entities=tuple(await asyncio.gather(*map(complete, desired.entities))))


def earlier(state: State, address: Address, version: str | None = None) -> int:
    """Return the serial of the newest apply that left this version of an address, or another than now has.

    `NotFoundError` if the address is not owned, `InvalidInputError` if no apply that is kept left such a version.
    """
    if address not in state.records:
        raise NotFoundError(f"{address} is not in the state", remedy="list what is: flyteform state list")
    now = state.records[address].version
    for run in reversed(state.runs):
        found = state.at(run.serial).get(address, NOTHING).version
        if found is not None and (found == version or (version is None and found != now)):
            return run.serial
    which = f"version {version}" if version else "an earlier version"
    raise InvalidInputError(
        f"the state remembers no apply of {which} of {address}", remedy="see what it remembers: flyteform state history"
    )


async def _with_launch_plans(client: AdminClient, state: State, address: Address) -> frozenset[Address]:
    """Return the address and, for a workflow, the owned launch plans that are active with it now."""
    if address.kind is not Kind.WORKFLOW:
        return frozenset({address})
    place = (address.project, address.domain)
    plans = [each for each in state.records if each.kind is Kind.LAUNCH_PLAN and (each.project, each.domain) == place]
    observed = await observe(client, Desired(), plans)
    users = {each for each, found in observed.active.items() if found.fields.get("workflow") == address.name}
    return frozenset({address, *users})


def _project(address: Address, record: Record) -> ProjectSettings:
    fields = record.fields
    labels = {key.removeprefix("labels."): value for key, value in fields.items() if key.startswith("labels.")}
    return ProjectSettings(address.project, fields.get("name"), fields.get("description"), labels or None)


def _is_lost(change: Change) -> bool:
    return change.address.kind in _VERSIONED and change.action in (Action.CREATE, Action.NEW_VERSION)


def _drifted(change: Change) -> Change:
    """Mark a step as drift, with the reason put from the platform's side."""
    if change.action is Action.NO_OP:
        return change
    if _is_lost(change):
        return replace(change, reason="the version that was applied is no longer registered", drift=True, fields=())
    return replace(change, drift=True)
