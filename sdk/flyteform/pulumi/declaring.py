"""From what a program declares to the properties of resources, by way of the core's desired state."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flyteform.provision.clusters import cluster_fields, cluster_message
from flyteform.provision.codebase import Sources
from flyteform.provision.desired import DEFAULT_IMAGE, Target, desired_of
from flyteform.provision.model import Kind
from flyteform.provision.specs import attributes_of
from flyteform.pulumi.bundles import keep_bundle
from flyteform.pulumi.specs import as_json, content_of, message_json, setting_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flyteform.provision.model import Desired, Entity, Setting
    from flyteform.provision.resources import Cluster, Resource, SettingsValue

# Stand for the place, which properties do not carry, and for an image that is known later.
PLACE = ("@flyteform-project@", "@flyteform-domain@")
IMAGE = "@flyteform-image@"

_sources = Sources()


@dataclass(frozen=True, slots=True)
class Part:
    """One resource that a declaration consists of: its kind, its name, its properties, whom it calls, what it follows.

    A domain among the properties of settings overrides that of the place: they may be for all domains.
    """

    kind: Kind
    name: str
    properties: Mapping[str, Any]
    calls: Mapping[str, str] = field(default_factory=dict)
    after: tuple[tuple[Kind, str], ...] = ()


def default_image() -> str:
    """Return the image of tasks when nobody names one, as the commands take it."""
    return os.environ.get("FLYTEFORM_IMAGE") or DEFAULT_IMAGE


def parts_of(declared: Resource, image: str) -> tuple[Part, ...]:
    """Return what a declaration consists of, what is called before what calls it; its code is left for the provider."""
    desired = desired_of((declared,), Target(*PLACE, image), _sources)
    used = {entity.bundle for entity in desired.entities}
    for digest, data in desired.bundles.items():
        if digest in used:
            keep_bundle(digest, data)
    return (*_entity_parts(desired), *(_setting_part(setting) for setting in desired.settings))


def settings_spec(value: SettingsValue) -> Mapping[str, Any]:
    """Return settings as JSON."""
    return as_json(attributes_of(value))


def cluster_spec(declared: Cluster) -> Mapping[str, Any]:
    """Return a cluster as JSON."""
    message = cluster_message(declared)
    data = message.SerializeToString(deterministic=True)
    return message_json(Kind.CLUSTER, data, cluster_fields(message))


def _entity_parts(desired: Desired) -> Iterable[Part]:
    workflows = {each.address.name: each.version for each in desired.entities if each.address.kind is Kind.WORKFLOW}
    for entity in desired.entities:
        if not entity.spec:
            continue  # registered in another way, and only referred to
        shares = entity.address.kind is Kind.LAUNCH_PLAN and entity.version == workflows.get(entity.address.name)
        yield _entity_part(entity, default=shares)


def _entity_part(entity: Entity, *, default: bool) -> Part:
    content = content_of(entity)
    properties: dict[str, Any] = {"spec": content.spec}
    if content.code:
        properties["code"] = content.code
    if content.bundle is not None:
        properties["bundle"] = content.bundle
    if default:
        properties["default"] = True
    if entity.address.kind is Kind.LAUNCH_PLAN:
        properties["active"] = entity.active is not False
    return Part(entity.address.kind, entity.address.name, properties, content.calls)


def _setting_part(setting: Setting) -> Part:
    address = setting.address
    properties: dict[str, Any] = {"spec": setting_json(setting)}
    if not address.domain:
        properties["domain"] = ""
    owners = tuple((each.kind, each.name) for each in setting.depends_on if each.kind is not Kind.PROJECT)
    return Part(address.kind, address.name, properties, after=owners)


def with_outputs(properties: Any, outputs: Mapping[str, Any]) -> Any:
    """Return properties in which what is known later stands where its placeholder stood."""
    match properties:
        case dict():
            return {key: with_outputs(each, outputs) for key, each in properties.items()}
        case list():
            return [with_outputs(each, outputs) for each in properties]
        case str():
            return outputs.get(properties, properties)
        case _:
            return properties
