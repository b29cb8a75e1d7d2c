"""What the state has to say of each resource once a plan is carried out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flyteform.provision.state import Record

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from flyteform.provision.model import Address, Desired, Plan, ProjectSettings


def goals_of(plan: Plan, owned: Collection[Address]) -> Mapping[Address, Record | None]:
    """Return the record of every address that the plan is about; None for what is not owned afterwards."""
    if plan.refresh_only:
        return plan.refreshed
    wanted = {} if plan.destroy else records_of(plan.desired)
    gone = frozenset((*plan.removed, *owned)) - plan.untouched
    return {**dict.fromkeys(gone), **wanted}


def records_of(desired: Desired) -> dict[Address, Record]:
    """Return the records of all that is declared, as if it were applied."""
    records = {project.address: Record(fields=project_fields(project)) for project in desired.projects}
    records |= {entity.address: Record(entity.version, entity.active) for entity in desired.entities}
    records |= {each.address: Record(fields=each.fields, spec=each.spec) for each in desired.settings}
    protected = {address for address, options in desired.options.items() if options.protect}
    return records | {address: replace(records[address], protect=True) for address in protected & records.keys()}


def project_fields(project: ProjectSettings) -> dict[str, str]:
    """Take a project's declared settings apart."""
    fields = {"state": "active"}
    if project.name is not None:
        fields["name"] = project.name
    if project.description is not None:
        fields["description"] = project.description
    return fields | {f"labels.{key}": value for key, value in (project.labels or {}).items()}
