"""The world as a resource's outputs remember it, and outputs as the world gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyteform.errors import FlyteformError
from flyteform.provision.fields import fields_of
from flyteform.provision.model import Kind
from flyteform.provision.observed import Observed, ObservedProject, ObservedVersion
from flyteform.provision.unversioned import UNVERSIONED
from flyteform.pulumi.provider.subjects import address_of, content_of_inputs
from flyteform.pulumi.provider.values import UNKNOWN
from flyteform.pulumi.specs import entity_of, message_json, setting_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform.provision.model import Address
    from flyteform.pulumi.kinds import ResourceType
from flyteform.pulumi.provider.subjects import Subject

ACTIVE, ARCHIVED, UNFINISHED = "active", "archived", "unfinished"


def remembered(described: ResourceType, outputs: Mapping[str, Any], inputs: Mapping[str, Any]) -> Observed:
    """Return the world in which a resource has these outputs, which came of these inputs."""
    address = address_of(described, outputs)
    archived = outputs.get("state") != ACTIVE
    if address.kind is Kind.PROJECT:
        return Observed(projects={address.project: _remembered_project(outputs, archived=archived)})
    project = ObservedProject("", "", {}, archived=False, domains=frozenset())
    if address.kind in UNVERSIONED:
        return Observed(projects={address.project: project}, settings=_remembered_setting(address, outputs))
    version = str(outputs.get("version"))
    known = ObservedVersion(version, _remembered_fields(address, inputs))
    active = outputs.get("activeVersion")
    return Observed(
        projects={address.project: project},
        registered=frozenset({(address, version)}),
        present=frozenset({address}),
        archived=frozenset({address}) if archived else frozenset(),
        latest={address: known},
        active={address: known if active == version else ObservedVersion(active, {})} if active else {},
    )


def outputs_when_done(described: ResourceType, subject: Subject | None, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs of a resource that is as its inputs say; without a subject what is not known yet is so."""
    outputs = {name: inputs[name] for name in described.outputs if name in inputs}
    outputs["state"] = ACTIVE
    if described.kind is Kind.PROJECT or described.kind in UNVERSIONED:
        return outputs
    outputs["version"] = UNKNOWN if subject is None else subject.version
    if described.kind is Kind.LAUNCH_PLAN:
        active = subject.desired.entities[0].active if subject is not None else inputs.get("active")
        outputs["activeVersion"] = outputs["version"] if active else UNKNOWN if active is None else ""
    return outputs


def outputs_settled(subject: Subject, wanted: Mapping[str, Any], before: Observed) -> dict[str, Any]:
    """Return the outputs after an apply; an activation that was left alone is what it was before."""
    if wanted.get("activeVersion") is not UNKNOWN:
        return dict(wanted)
    active = before.active.get(subject.address)
    return {**wanted, "activeVersion": "" if active is None else active.version}


def outputs_left(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs of a resource that is not finished: so that the next update does what is left."""
    return {**wanted, "state": UNFINISHED} | ({"activeVersion": ""} if "activeVersion" in wanted else {})


def outputs_observed(
    described: ResourceType, address: Address, version: str | None, observed: Observed
) -> dict[str, Any] | None:
    """Return the outputs that the platform gives a resource, None if it is not there."""
    if described.kind is Kind.CLUSTER:
        return _cluster_outputs(address, observed)
    project = observed.projects.get(address.project)
    if project is None:
        return None
    if described.kind is Kind.PROJECT:
        return _project_outputs(address, project)
    if described.kind in UNVERSIONED:
        return _setting_outputs(address, observed)
    if (address, version) not in observed.registered:
        return None
    state = ARCHIVED if address in observed.archived else ACTIVE
    outputs = {
        "project": address.project,
        "domain": address.domain,
        "name": address.name,
        "version": version,
        "state": state,
    }
    if described.kind is Kind.LAUNCH_PLAN:
        active = observed.active.get(address)
        outputs["activeVersion"] = "" if active is None else active.version
    return outputs


def _project_outputs(address: Address, project: ObservedProject) -> dict[str, Any]:
    return {
        "project": address.project,
        "name": project.name,
        "description": project.description,
        "labels": dict(project.labels),
        "state": ARCHIVED if project.archived else ACTIVE,
    }


def _setting_outputs(address: Address, observed: Observed) -> dict[str, Any] | None:
    data = observed.settings.get(address)
    if data is None:
        return None
    return {
        "project": address.project,
        "domain": address.domain,
        "name": address.name,
        "spec": message_json(address.kind, data, ("description", "state")),
        "state": ACTIVE,
    }


def _cluster_outputs(address: Address, observed: Observed) -> dict[str, Any] | None:
    data = observed.settings.get(address)
    return (
        None
        if data is None
        else {
            "name": address.name,
            "spec": message_json(address.kind, data, ("state",)),
            "state": ACTIVE,
        }
    )


def _remembered_setting(address: Address, outputs: Mapping[str, Any]) -> dict[Address, bytes]:
    try:
        return {address: setting_of(address, outputs.get("spec") or {}).spec}
    except FlyteformError:
        return {}  # what cannot be read any more is written anew


def _remembered_project(outputs: Mapping[str, Any], *, archived: bool) -> ObservedProject:
    return ObservedProject(
        outputs.get("name") or "",
        outputs.get("description") or "",
        outputs.get("labels") or {},
        archived,
        domains=frozenset(),
    )


def _remembered_fields(address: Address, inputs: Mapping[str, Any]) -> Mapping[str, str]:
    """Return what a version was made of, for messages; nothing of what cannot be read any more."""
    try:
        return fields_of(entity_of(address, content_of_inputs(inputs)))
    except (FlyteformError, KeyError):
        return {}
