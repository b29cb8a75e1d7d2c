"""What a resource's properties mean to the core of plan and apply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flyteform.provision.model import (
    PLACELESS,
    Address,
    Desired,
    Kind,
    ProjectSettings,
    cluster_address,
    project_address,
)
from flyteform.provision.unversioned import UNVERSIONED
from flyteform.pulumi.bundles import KeptBundles
from flyteform.pulumi.provider.errors import UnreadableInputError
from flyteform.pulumi.provider.paths import covers, parse_path
from flyteform.pulumi.provider.values import UNKNOWN, has_unknown
from flyteform.pulumi.specs import Content, UnreadableSpecError, entity_of, setting_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from flyteform.pulumi.kinds import ResourceType

_BUNDLES = KeptBundles()
_ACTIVATION = (("active",), ("activeVersion",))


@dataclass(frozen=True, slots=True)
class Subject:
    """One resource as the core wants it: its address, and a desired state of it alone."""

    address: Address
    desired: Desired

    @property
    def version(self) -> str | None:
        """The version that is wanted of a task, workflow or launch plan."""
        return self.desired.entities[0].version if self.desired.entities else None


def subject_of(described: ResourceType, inputs: Mapping[str, Any], ignored: Collection[str] = ()) -> Subject | None:
    """Read inputs, None as long as anything that they say is unknown; `UnreadableInputError` names the property.

    `ignored` are the properties whose changes are ignored: a launch plan's activation is then left alone.
    """
    if has_unknown({name: value for name, value in inputs.items() if name != "active"}):
        return None
    address = address_of(described, inputs)
    if address.kind is Kind.PROJECT:
        return Subject(address, Desired(projects=(_project(inputs),)))
    active = _active(address.kind, inputs, ignored)
    try:
        if address.kind in UNVERSIONED:
            return Subject(address, Desired(settings=(setting_of(address, inputs["spec"]),)))
        entity = entity_of(address, content_of_inputs(inputs), active=active)
    except UnreadableSpecError as error:
        raise UnreadableInputError(".".join(filter(None, ("spec", error.path))), error.message) from error
    return Subject(address, Desired(entities=(entity,), bundles=_BUNDLES))


def address_of(described: ResourceType, values: Mapping[str, Any]) -> Address:
    """Return the address that inputs or outputs name."""
    if described.kind is Kind.PROJECT:
        return project_address(values["project"])
    if described.kind is Kind.CLUSTER:
        return cluster_address(values["name"])
    return Address(described.kind, values["project"], values["domain"], values["name"])


def content_of_inputs(inputs: Mapping[str, Any]) -> Content:
    """Return what inputs say of a task, workflow or launch plan."""
    return Content(
        inputs["spec"],
        inputs.get("calls") or {},
        inputs.get("code") or {},
        inputs.get("bundle"),
        bool(inputs.get("default")),
        inputs.get("version"),
    )


def identify(address: Address) -> str:
    """Return the id of a resource: its name, or `PROJECT/DOMAIN/NAME`; `pulumi import` takes the same."""
    return address.name if address.kind in PLACELESS else f"{address.project}/{address.domain}/{address.name}"


def address_named(described: ResourceType, identifier: str) -> Address:
    """Read an id; `UnreadableInputError` if it is none of this type."""
    parts = identifier.split("/", 2)
    if described.kind in PLACELESS and len(parts) == 1 and identifier:
        return project_address(identifier) if described.kind is Kind.PROJECT else cluster_address(identifier)
    complete = all(parts) or (described.kind is Kind.SETTINGS and bool(parts[0]) and bool(parts[-1]))
    if described.kind not in PLACELESS and len(parts) == 3 and complete:  # noqa: PLR2004 - project, domain, name
        return Address(described.kind, *parts)
    form = described.kind.name if described.kind in PLACELESS else "PROJECT/DOMAIN/NAME"
    raise UnreadableInputError("id", f"{identifier!r} is no id of a {described.kind.label}: write {form}")


def ignores(ignored: Collection[str], path: tuple[str | int, ...]) -> bool:
    """Tell whether changes of a property are ignored."""
    return any(covers(parse_path(each), path) for each in ignored)


def _active(kind: Kind, inputs: Mapping[str, Any], ignored: Collection[str]) -> bool | None:
    active = inputs.get("active")
    if kind is not Kind.LAUNCH_PLAN or active is UNKNOWN or any(ignores(ignored, path) for path in _ACTIVATION):
        return None
    return True if active is None else bool(active)


def _project(inputs: Mapping[str, Any]) -> ProjectSettings:
    return ProjectSettings(inputs["project"], inputs.get("name"), inputs.get("description"), inputs.get("labels"))
