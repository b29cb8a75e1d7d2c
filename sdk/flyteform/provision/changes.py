"""What happens to one resource: from what is wanted of it and what is observed to its changes. Pure."""

from __future__ import annotations

import fnmatch
from dataclasses import replace
from typing import TYPE_CHECKING

from flyteform.provision.fields import difference, fields_of
from flyteform.provision.model import ORDER, Action, Change, FieldChange, Kind, Options, project_address
from flyteform.provision.records import project_fields
from flyteform.provision.unversioned import UNVERSIONED, comparable, unversioned_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flyteform.provision.model import Address, Entity, ProjectSettings, Setting
    from flyteform.provision.observed import Observed, ObservedProject

_NO_OPTIONS = Options()


def is_ignored(path: str, ignored: Iterable[str]) -> bool:
    """Tell whether a field is one of those that are left alone: named, below a named one, or matching a pattern."""
    return any(path == each or path.startswith(f"{each}.") or fnmatch.fnmatchcase(path, each) for each in ignored)


def removals(addresses: Iterable[Address], observed: Observed, *, reason: str) -> Iterator[Change]:
    """Yield the steps that take things out of use: deactivate, archive, remove; nothing for what is gone already."""
    for address in sorted(addresses, key=lambda each: (-ORDER.index(each.kind), each)):
        if address.kind is Kind.LAUNCH_PLAN:
            yield from _deactivation(address, observed, reason)
        elif address.kind in UNVERSIONED:
            yield from _removal(address, observed, reason)
        elif _is_in_use(address, observed):
            change = FieldChange("state", "active", "archived")
            yield Change(Action.ARCHIVE, address, reason, fields=(change,))


def _removal(address: Address, observed: Observed, reason: str) -> Iterator[Change]:
    """Yield the removal of what is set; of metadata only a description is ever taken back."""
    spec = observed.settings.get(address)
    fields = {} if spec is None else unversioned_fields(address, spec)
    if address.kind is Kind.METADATA:
        fields = {path: text for path, text in fields.items() if path == "description" and text}
    if fields:
        yield Change(Action.REMOVE, address, reason, fields=difference(fields, {}))


def _is_in_use(address: Address, observed: Observed) -> bool:
    if address.kind is Kind.PROJECT:
        project = observed.projects.get(address.project)
        return project is not None and not project.archived
    return address in observed.present and address not in observed.archived


def _deactivation(address: Address, observed: Observed, reason: str) -> Iterator[Change]:
    if (active := observed.active.get(address)) is not None:
        change = FieldChange("active", active.version, None)
        yield Change(Action.DEACTIVATE, address, reason, version=active.version, fields=(change,))


def project_change(wanted: ProjectSettings, observed: Observed) -> Change:
    """Return what happens to a project; what is not declared of it is left alone."""
    known = observed.projects.get(wanted.id)
    if known is None:
        return Change(Action.CREATE, wanted.address, "does not exist", fields=difference({}, project_fields(wanted)))
    fields = difference(_observed_project_fields(wanted, known), project_fields(wanted))
    if not fields:
        return Change(Action.NO_OP, wanted.address, "is as declared")
    reason = "is archived" if known.archived else "settings differ"
    return Change(Action.UPDATE, wanted.address, reason, fields=fields)


def _observed_project_fields(wanted: ProjectSettings, observed: ObservedProject) -> dict[str, str]:
    """Return the observed values of what is declared."""
    fields = {"state": "archived" if observed.archived else "active"}
    if wanted.name is not None:
        fields["name"] = observed.name
    if wanted.description is not None:
        fields["description"] = observed.description
    labels = observed.labels if wanted.labels is not None else {}
    return fields | {f"labels.{key}": value for key, value in labels.items()}


def setting_change(wanted: Setting, observed: Observed) -> Change:
    """Return what happens to settings, a policy, metadata or a cluster."""
    address, depends_on = wanted.address, wanted.depends_on
    spec = observed.settings.get(address)
    if spec is None:
        fields = difference({}, wanted.fields)
        return Change(Action.CREATE, address, "is not set", fields=fields, depends_on=depends_on)
    before = comparable(address, unversioned_fields(address, spec), wanted.fields)
    fields = difference(before, wanted.fields)
    if not fields:
        return Change(Action.NO_OP, address, "is as declared", depends_on=depends_on)
    return Change(Action.UPDATE, address, "settings differ", fields=fields, depends_on=depends_on)


def entity_changes(entity: Entity, observed: Observed, moves: Mapping[Address, Address]) -> Iterator[Change]:
    """Yield what happens to a version, and to its name if that is archived."""
    former = moves.get(entity.address)
    if (entity.address, entity.version) not in observed.registered:
        yield replace(_registration(entity, observed, former), moved_from=former)
    elif entity.address not in observed.archived:
        reason = "this version is registered"
        yield Change(Action.NO_OP, entity.address, reason, version=entity.version, moved_from=former)
    if entity.address in observed.archived:
        change = FieldChange("state", "archived", "active")
        depends_on = entity.depends_on
        yield Change(
            Action.UPDATE, entity.address, "is archived", entity.version, None, (change,), depends_on, moved_from=former
        )


def _registration(entity: Entity, observed: Observed, former: Address | None) -> Change:
    depends_on = (project_address(entity.address.project), *entity.depends_on)
    latest = observed.latest.get(entity.address)
    if latest is None and former is not None and former in observed.latest:
        before = observed.latest[former]
        fields = difference(before.fields, fields_of(entity))
        reason = f"was {former.name}"
        return Change(Action.CREATE, entity.address, reason, entity.version, before.version, fields, depends_on)
    if latest is None:
        fields = difference({}, fields_of(entity))
        return Change(Action.CREATE, entity.address, "does not exist", entity.version, None, fields, depends_on)
    fields = difference(latest.fields, fields_of(entity))
    reason = _why(entity, tuple(change.path for change in fields))
    return Change(Action.NEW_VERSION, entity.address, reason, entity.version, latest.version, fields, depends_on)


def _why(entity: Entity, paths: tuple[str, ...]) -> str:
    """Say in a few words what makes a new version necessary."""
    called = [path.removeprefix("calls.") for path in paths if path.startswith("calls.")]
    own = [path for path in paths if not path.startswith("calls.")]
    if own:
        groups = dict.fromkeys(path.split(".", 1)[0] for path in own)
        return f"changed: {', '.join(groups)}"
    if called:
        return f"new version of {', '.join(called)}"
    return "its code changed" if entity.address.kind is Kind.TASK else "its definition changed"


def activations(entity: Entity, observed: Observed, options: Mapping[Address, Options]) -> Iterator[Change]:
    """Yield the activation or deactivation that a launch plan needs; none if who is active is left alone."""
    address = entity.address
    ignored = "active" in options.get(address, _NO_OPTIONS).ignore_changes
    if address.kind is not Kind.LAUNCH_PLAN or entity.active is None:
        return
    if ignored and address in observed.present:
        return
    if not entity.active:
        yield from _deactivation(address, observed, "declared inactive")
        return
    active = observed.active.get(address)
    before = None if active is None else active.version
    if before != entity.version:
        reason = "no version is active" if before is None else "another version is active"
        change = FieldChange("active", before, entity.version)
        depends_on = (address, *entity.depends_on)
        yield Change(Action.ACTIVATE, address, reason, entity.version, before, (change,), depends_on)
