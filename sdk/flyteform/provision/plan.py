"""Decide what to do: from desired, observed and owned to changes. Pure: no clock, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from flyteform.provision.changes import (
    activations,
    entity_changes,
    project_change,
    removals,
    setting_change,
)
from flyteform.provision.errors import DeclarationError
from flyteform.provision.model import ORDER, REMOVALS, Action, Change, Kind, Options, project_address
from flyteform.provision.moved import moves_of
from flyteform.provision.unversioned import owner_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flyteform.provision.model import Address, Desired
    from flyteform.provision.observed import Observed
    from flyteform.provision.state import Record

__all__ = ["check_idle", "check_owners", "check_protected", "plan_changes", "removals"]

_NO_OPTIONS = Options()
_LIMITS = "task_resource"
_SHOWN = 5  # names in one message


def plan_changes(
    desired: Desired, observed: Observed, owned: Iterable[Address] | Mapping[Address, Record]
) -> tuple[Change, ...]:
    """Return the steps from what is to what is wanted, in an order in which they can be taken.

    Projects, then settings and versions with what they depend on before them, then activations, then the removal of
    what is `owned` and no longer declared. With the records of what was applied last, drift is told from change.
    `DeclarationError` if the declaration cannot be met on this platform, or would take out of use what is protected.
    """
    records: Mapping[Address, Record] = owned if isinstance(owned, Mapping) else {}
    _check_places(desired, observed)
    moves = moves_of(desired, owned)
    wanted = [
        *(project_change(project, observed) for project in desired.projects),
        *(setting_change(each, observed) for each in desired.settings),
        *(change for entity in desired.entities for change in entity_changes(entity, observed, moves)),
    ]
    wanted = _after_projects(_after_limits(wanted))
    applied = _applied(desired, records)
    gone = frozenset(owned) - desired.addresses
    left = list(removals(gone, observed, reason="no longer declared"))
    moved_away = {former: address for address, former in moves.items()}
    changes = (
        *(_told(each, applied) for each in _ordered(wanted, desired.options)),
        *(_moved(each, moved_away) for each in left if each.address in moved_away and each.action is Action.DEACTIVATE),
        *(
            _told(each, applied)
            for entity in desired.entities
            for each in activations(entity, observed, desired.options)
        ),
        *(
            _moved(each, moved_away)
            for each in left
            if each.address not in moved_away or each.action is not Action.DEACTIVATE
        ),
    )
    check_protected(changes, desired.options, records)
    check_idle(changes, observed)
    return changes


def check_protected(
    changes: Iterable[Change], options: Mapping[Address, Options], records: Mapping[Address, Record]
) -> None:
    """Refuse to take out of use what is protected, or was when it was applied last."""

    def protected(address: Address) -> bool:
        if address in options:
            return options[address].protect
        return address in records and records[address].protect

    hit = list(
        dict.fromkeys(str(each.address) for each in changes if each.action in REMOVALS and protected(each.address))
    )
    if hit:
        more = f" and {len(hit) - _SHOWN} more" if len(hit) > _SHOWN else ""
        raise DeclarationError(
            f"protected, and this would take it out of use: {', '.join(hit[:_SHOWN])}{more}",
            remedy="declare it, or apply it with protect=False first",
        )


def check_idle(changes: Iterable[Change], observed: Observed) -> None:
    """Refuse to forget a cluster that has executions: nobody could tell how they end."""
    removed = (each.address for each in changes if each.action in REMOVALS)
    busy = {address: observed.executions[address] for address in removed if observed.executions.get(address)}
    for address, count in busy.items():
        raise DeclarationError(
            f"{address} has {count} execution{'' if count == 1 else 's'}, and this would take it out of use",
            remedy=f"drain it (`flyteform cluster drain {address.name}`), and wait until it is; "
            f"if it does not come back: `flyteform cluster abandon {address.name}`",
        )


def _applied(desired: Desired, records: Mapping[Address, Record]) -> frozenset[Address]:
    """Return what was applied last as it is declared now: where that is not so on the platform, the world has moved."""
    if not records:
        return frozenset()
    from flyteform.provision.records import records_of

    wanted = records_of(desired)
    return frozenset(
        address
        for address, record in wanted.items()
        if address in records
        and (record.version, record.active, record.fields)
        == (records[address].version, records[address].active, records[address].fields)
    )


def _after_limits(changes: list[Change]) -> list[Change]:
    """Let tasks wait for settings of resources: what a task asks for is checked against those when it is registered."""
    limits = [each.address for each in changes if each.address.kind is Kind.SETTINGS and each.address.name == _LIMITS]
    if not limits:
        return changes
    return [_after(each, limits) if each.address.kind is Kind.TASK else each for each in changes]


def _after_projects(changes: list[Change]) -> list[Change]:
    """Let everything wait for a project that is created or brought back: nothing can be changed in an archived one."""
    pending = {
        each.address for each in changes if each.address.kind is Kind.PROJECT and each.action is not Action.NO_OP
    }
    return [
        replace(each, depends_on=(place, *each.depends_on))
        if (place := project_address(each.address.project)) in pending
        and each.address != place
        and place not in each.depends_on
        else each
        for each in changes
    ]


def _after(change: Change, limits: Iterable[Address]) -> Change:
    place = (change.address.project, change.address.domain)
    own = [each for each in limits if each.project == place[0] and each.domain in ("", place[1])]
    return replace(change, depends_on=(*change.depends_on, *own))


def _told(change: Change, applied: frozenset[Address]) -> Change:
    """Mark what only the world can have caused."""
    return replace(change, drift=True) if change.action is not Action.NO_OP and change.address in applied else change


def _moved(change: Change, moved_away: Mapping[Address, Address]) -> Change:
    """Take a former name out of use only after the new one is there."""
    if change.address not in moved_away:
        return change
    successor = moved_away[change.address]
    return replace(change, reason=f"is {successor.name} now", depends_on=(successor,))


def _ordered(changes: Sequence[Change], options: Mapping[Address, Options]) -> list[Change]:
    """Put what is depended on first, else as declared; `DeclarationError` if there is a circle."""
    if not any(each.depends_on for each in options.values()):
        # What is declared is in order already, but for policies and metadata, which are about it.
        return sorted(changes, key=lambda each: each.address.kind in (Kind.POLICY, Kind.METADATA))
    by_address: dict[Address, list[Change]] = {}
    for change in changes:
        own = options.get(change.address, _NO_OPTIONS).depends_on
        wider = replace(change, depends_on=tuple(dict.fromkeys((*change.depends_on, *own))))
        by_address.setdefault(change.address, []).append(wider)
    found: dict[Address, None] = {}
    for address in sorted(by_address, key=lambda each: ORDER.index(each.kind)):
        _visit(address, by_address, found)
    return [change for address in found for change in by_address[address]]


def _visit(start: Address, changes: Mapping[Address, Sequence[Change]], found: dict[Address, None]) -> None:
    """Note an address after all that it depends on; without recursion, as chains may be long."""
    above: dict[Address, None] = {}
    pending = [start]
    while pending:
        address = pending[-1]
        needed = [each for change in changes[address] for each in change.depends_on if each in changes]
        new = [each for each in needed if each not in found]
        if address in found or not new:
            found.setdefault(address)
            above.pop(address, None)
            pending.pop()
            continue
        above[address] = None
        if any(each in above for each in new):
            circle = " → ".join(str(each) for each in (*above, address))
            raise DeclarationError(f"these depend on each other in a circle: {circle}", remedy="drop one depends_on")
        pending.extend(new)


def check_owners(desired: Desired, observed: Observed) -> None:
    """Refuse metadata of a name that is neither declared nor there: for plans of whole declarations."""
    declared = desired.addresses
    for address in (each.address for each in desired.settings if each.address.kind is Kind.METADATA):
        owner = owner_of(address)
        if owner not in declared and owner not in observed.present:
            raise DeclarationError(f"metadata is declared for {owner}, which does not exist", remedy="declare it too")


def _check_places(desired: Desired, observed: Observed) -> None:
    """Refuse what the platform would refuse half-way: a project that nobody declares, a domain that is not there."""
    declared = {project.id for project in desired.projects}
    wanted = desired.addresses - {project.address for project in desired.projects}
    for name, domain in sorted({(each.project, each.domain) for each in wanted if each.kind is not Kind.CLUSTER}):
        project = observed.projects.get(name)
        if project is None and name not in declared:
            raise DeclarationError(
                f"project {name!r} does not exist", remedy=f'declare it: Project("{name}"), or choose another one'
            )
        if project is not None and project.archived and name not in declared:
            raise DeclarationError(
                f"project {name!r} is archived", remedy=f'declare it to bring it back: Project("{name}")'
            )
        if project is not None and project.domains and domain and domain not in project.domains:
            raise DeclarationError(
                f"project {name!r} has no domain {domain!r}",
                remedy=f"choose one of: {', '.join(sorted(project.domains))}",
            )
