"""Decide what to do: from desired, observed and owned to changes. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform.provision.errors import DeclarationError
from flyteform.provision.fields import difference, fields_of
from flyteform.provision.model import ORDER, Action, Change, FieldChange, Kind, project_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flyteform.provision.model import Address, Desired, Entity, ProjectSettings
    from flyteform.provision.observed import Observed, ObservedProject


def plan_changes(desired: Desired, observed: Observed, owned: Iterable[Address]) -> tuple[Change, ...]:
    """Return the steps from what is to what is wanted, in an order in which they can be taken.

    Projects, then versions with the versions that they call before them, then activations, then the removal of what
    is `owned` and no longer declared. `DeclarationError` if the declaration cannot be met on this platform.
    """
    _check_places(desired, observed)
    activations = [change for entity in desired.entities for change in _activation(entity, observed)]
    return (
        *(_project_change(project, observed.projects.get(project.id)) for project in desired.projects),
        *(change for entity in desired.entities for change in _entity_changes(entity, observed)),
        *activations,
        *removals(frozenset(owned) - desired.addresses, observed, reason="no longer declared"),
    )


def removals(addresses: Iterable[Address], observed: Observed, *, reason: str) -> Iterator[Change]:
    """Yield the steps that take things out of use: deactivate, archive; nothing for what is gone already."""
    for address in sorted(addresses, key=lambda each: (-ORDER.index(each.kind), each)):
        if address.kind is Kind.LAUNCH_PLAN:
            yield from _deactivation(address, observed, reason)
        elif _is_in_use(address, observed):
            change = FieldChange("state", "active", "archived")
            yield Change(Action.ARCHIVE, address, reason, fields=(change,))


def _is_in_use(address: Address, observed: Observed) -> bool:
    if address.kind is Kind.PROJECT:
        project = observed.projects.get(address.project)
        return project is not None and not project.archived
    return address in observed.present and address not in observed.archived


def _deactivation(address: Address, observed: Observed, reason: str) -> Iterator[Change]:
    if (active := observed.active.get(address)) is not None:
        change = FieldChange("active", active.version, None)
        yield Change(Action.DEACTIVATE, address, reason, version=active.version, fields=(change,))


def _check_places(desired: Desired, observed: Observed) -> None:
    """Refuse what the platform would refuse half-way: a project that nobody declares, a domain that is not there."""
    declared = {project.id for project in desired.projects}
    for place in sorted({(entity.address.project, entity.address.domain) for entity in desired.entities}):
        name, domain = place
        project = observed.projects.get(name)
        if project is None and name not in declared:
            raise DeclarationError(
                f"project {name!r} does not exist", remedy=f'declare it: Project("{name}"), or choose another one'
            )
        if project is not None and project.archived and name not in declared:
            raise DeclarationError(
                f"project {name!r} is archived", remedy=f'declare it to bring it back: Project("{name}")'
            )
        if project is not None and project.domains and domain not in project.domains:
            raise DeclarationError(
                f"project {name!r} has no domain {domain!r}",
                remedy=f"choose one of: {', '.join(sorted(project.domains))}",
            )


def _project_change(wanted: ProjectSettings, observed: ObservedProject | None) -> Change:
    fields = difference({} if observed is None else _observed_project_fields(wanted, observed), _project_fields(wanted))
    if observed is None:
        return Change(Action.CREATE, wanted.address, "does not exist", fields=fields)
    if not fields:
        return Change(Action.NO_OP, wanted.address, "is as declared")
    reason = "is archived" if observed.archived else "settings differ"
    return Change(Action.UPDATE, wanted.address, reason, fields=fields)


def _project_fields(wanted: ProjectSettings) -> dict[str, str]:
    fields = {"state": "active"}
    if wanted.name is not None:
        fields["name"] = wanted.name
    if wanted.description is not None:
        fields["description"] = wanted.description
    return fields | {f"labels.{key}": value for key, value in (wanted.labels or {}).items()}


def _observed_project_fields(wanted: ProjectSettings, observed: ObservedProject) -> dict[str, str]:
    """Return the observed values of what is declared; what is not declared is left alone."""
    fields = {"state": "archived" if observed.archived else "active"}
    if wanted.name is not None:
        fields["name"] = observed.name
    if wanted.description is not None:
        fields["description"] = observed.description
    labels = observed.labels if wanted.labels is not None else {}
    return fields | {f"labels.{key}": value for key, value in labels.items()}


def _entity_changes(entity: Entity, observed: Observed) -> Iterator[Change]:
    """Yield what happens to a version, and to its name if that is archived."""
    if (entity.address, entity.version) in observed.registered:
        if entity.address not in observed.archived:
            yield Change(Action.NO_OP, entity.address, "this version is registered", version=entity.version)
    else:
        yield _registration(entity, observed)
    if entity.address in observed.archived:
        change = FieldChange("state", "archived", "active")
        yield Change(Action.UPDATE, entity.address, "is archived", entity.version, None, (change,), entity.depends_on)


def _registration(entity: Entity, observed: Observed) -> Change:
    depends_on = (project_address(entity.address.project), *entity.depends_on)
    latest = observed.latest.get(entity.address)
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


def _activation(entity: Entity, observed: Observed) -> Iterator[Change]:
    if entity.address.kind is not Kind.LAUNCH_PLAN or entity.active is None:
        return
    if not entity.active:
        yield from _deactivation(entity.address, observed, "declared inactive")
        return
    active = observed.active.get(entity.address)
    before = None if active is None else active.version
    if before != entity.version:
        reason = "no version is active" if before is None else "another version is active"
        change = FieldChange("active", before, entity.version)
        depends_on = (entity.address, *entity.depends_on)
        yield Change(Action.ACTIVATE, entity.address, reason, entity.version, before, (change,), depends_on)
