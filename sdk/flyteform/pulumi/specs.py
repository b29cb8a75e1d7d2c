"""Specs as properties of resources: JSON in which the place is left out, and the versions of what is called lie apart.

So an entity's properties do not change with the project that it goes to, and the version of a task, known only when
it is registered, can reach the workflow that calls it as an output.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from flyteidl.admin import common_pb2, launch_plan_pb2, matchable_resource_pb2, task_pb2, workflow_pb2
from flyteidl.core.identifier_pb2 import Identifier
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from flyteform.errors import InvalidInputError
from flyteform.proto.flyteform.v1 import clusters_pb2, policies_pb2
from flyteform.provision.clusters import cluster_fields, state_of
from flyteform.provision.digest import version_of
from flyteform.provision.identifiers import RESOURCE_TYPES, identifier_of
from flyteform.provision.model import Entity, Kind, Setting
from flyteform.provision.resources.clusters import STATES
from flyteform.provision.unversioned import attribute_name, unversioned_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from google.protobuf.message import Message

    from flyteform.provision.model import Address

    Spec = task_pb2.TaskSpec | workflow_pb2.WorkflowSpec | launch_plan_pb2.LaunchPlanSpec

_KINDS = {number: kind for kind, number in RESOURCE_TYPES.items()}
_AT = re.compile(r'has no field named "(?P<name>[^"]+)" at "\w+\.?(?P<at>[^"]*)"')


class UnreadableSpecError(InvalidInputError):
    """A spec is not of the message that it should be; `path` is where, below the spec."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True)
class Content:
    """What an entity's properties say about it, apart from where it goes and whether it is active."""

    spec: Mapping[str, Any]
    calls: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    bundle: str | None = None
    default: bool = False
    version: str | None = None


def content_of(entity: Entity, *, default: bool = False) -> Content:
    """Take an entity apart into properties; its version is left to be worked out from them."""
    message = _message(entity.address.kind, entity.spec)
    if not isinstance(message, launch_plan_pb2.LaunchPlanSpec):
        message.template.ClearField("id")
    calls: dict[str, str] = {}
    for reference in _references(message):
        if (reference.project, reference.domain) == (entity.address.project, entity.address.domain):
            calls[call_key(reference)] = reference.version
            for name in ("project", "domain", "version", "org"):
                reference.ClearField(name)
    return Content(as_json(message), calls, dict(entity.code), entity.bundle, default)


def entity_of(address: Address, content: Content, *, active: bool | None = None) -> Entity:
    """Put an entity together again; `UnreadableSpecError` says what is wrong with its properties."""
    message = parse_spec(address.kind, content.spec)
    for reference in _references(message):
        _complete(reference, address, content.calls)
    if not isinstance(message, launch_plan_pb2.LaunchPlanSpec):
        message.template.id.CopyFrom(identifier_of(address, ""))
    version = content.version or _version(message, content)
    if not isinstance(message, launch_plan_pb2.LaunchPlanSpec):
        message.template.id.version = version
    spec = message.SerializeToString(deterministic=True)
    return Entity(address, version, spec, (), content.bundle, active, content.code)


def call_key(reference: Identifier) -> str:
    """Return what a reference is called among `calls`."""
    return f"{_KINDS[reference.resource_type].value}:{reference.name}"


def as_json(message: Message) -> dict[str, Any]:
    """Return a message as JSON with FlyteIDL's own names."""
    return MessageToDict(message, preserving_proto_field_name=True)


def parse_spec(kind: Kind, spec: Mapping[str, Any]) -> Spec:
    """Read a spec's JSON; `UnreadableSpecError` names the place."""
    return _parsed(spec, _message(kind, b""))


def unversioned_message(kind: Kind, data: bytes) -> Message:
    """Return what a setting of this kind is said with."""
    match kind:
        case Kind.SETTINGS:
            return matchable_resource_pb2.MatchingAttributes.FromString(data)
        case Kind.POLICY:
            return policies_pb2.LaunchPlanPolicy.FromString(data)
        case Kind.CLUSTER:
            return clusters_pb2.Cluster.FromString(data)
        case _:
            return common_pb2.NamedEntityMetadata.FromString(data)


def setting_of(address: Address, spec: Mapping[str, Any]) -> Setting:
    """Read settings, a policy, metadata or a cluster; of metadata what is not in the JSON is not declared."""
    if address.kind is Kind.CLUSTER:
        return _cluster_of(address, spec)
    message = _parsed(spec, unversioned_message(address.kind, b""))
    data = message.SerializeToString(deterministic=True)
    fields = unversioned_fields(address, data)
    if address.kind is Kind.METADATA:
        fields = {name: text for name, text in fields.items() if name in spec}
    if not fields:
        raise UnreadableSpecError("", "says nothing")
    if isinstance(message, matchable_resource_pb2.MatchingAttributes):
        attribute = attribute_name(message)
        if attribute != address.name.rpartition("/")[2]:
            raise UnreadableSpecError("", f"is about {attribute}, as its name should be")
    return Setting(address, data, fields)


def _cluster_of(address: Address, spec: Mapping[str, Any]) -> Setting:
    """Read a cluster: the state, which is no part of what Flyteform's message declares, is checked here."""
    said = {name: value for name, value in spec.items() if name != "state"}
    message = clusters_pb2.Cluster(name=address.name, spec=_parsed(said, clusters_pb2.ClusterSpec()))
    state = spec.get("state")
    if state is not None:
        if state not in STATES:
            raise UnreadableSpecError("state", f"is {state!r}: use one of {', '.join(STATES)}")
        message.state = clusters_pb2.ClusterState.Value(f"CLUSTER_STATE_{state.upper()}")
    return Setting(address, message.SerializeToString(deterministic=True), cluster_fields(message))


def setting_json(setting: Setting) -> dict[str, Any]:
    """Return settings, a policy, metadata or a cluster as JSON."""
    return message_json(setting.address.kind, setting.spec, setting.fields)


def message_json(kind: Kind, data: bytes, declared: Iterable[str]) -> dict[str, Any]:
    """Return what is said with a setting of this kind as JSON; of metadata and clusters these parts of the state."""
    message = unversioned_message(kind, data)
    if isinstance(message, clusters_pb2.Cluster):
        return as_json(message.spec) | ({"state": state_of(message)} if "state" in declared else {})
    return declared_metadata(message, declared) if kind is Kind.METADATA else as_json(message)


def declared_metadata(message: Any, names: Iterable[str]) -> dict[str, Any]:
    """Return these parts of metadata as JSON, also where they are as by default."""
    values = {"description": message.description, "state": common_pb2.NamedEntityState.Name(message.state)}
    return {name: values[name] for name in values if name in names}


_Parsed = TypeVar("_Parsed", bound="Message")


def _parsed(spec: Mapping[str, Any], message: _Parsed) -> _Parsed:
    try:
        ParseDict(dict(spec), message)
    except ParseError as error:
        text = str(error)
        unknown = _AT.search(text)
        path = "" if unknown is None else ".".join(filter(None, (unknown["at"], unknown["name"])))
        raise UnreadableSpecError(path, f"is no {message.DESCRIPTOR.name} of FlyteIDL: {text}") from error
    return message


def _message(kind: Kind, data: bytes) -> Spec:
    match kind:
        case Kind.TASK:
            return task_pb2.TaskSpec.FromString(data)
        case Kind.WORKFLOW:
            return workflow_pb2.WorkflowSpec.FromString(data)
        case _:
            return launch_plan_pb2.LaunchPlanSpec.FromString(data)


def _version(message: Spec, content: Content) -> str:
    if content.default and isinstance(message, launch_plan_pb2.LaunchPlanSpec):
        return message.workflow_id.version
    return version_of(message, content.code)


def _complete(reference: Identifier, address: Address, calls: Mapping[str, str]) -> None:
    if not reference.project and not reference.domain:
        reference.project, reference.domain = address.project, address.domain
    if not reference.version:
        key = call_key(reference)
        if key not in calls:
            raise UnreadableSpecError("", f"names {key}, whose version is missing in calls")
        reference.version = calls[key]


def _references(message: Message) -> Iterator[Identifier]:
    """Yield the names of other entities in a message, and of the sub-workflows that it carries."""
    for described, value in message.ListFields():
        if described.message_type is None:
            continue
        for part in _parts(described, value):
            if isinstance(part, Identifier):
                if part.name:
                    yield part
            else:
                yield from _references(part)


def _parts(described: Any, value: Any) -> Iterator[Message]:
    if described.message_type.GetOptions().map_entry:
        if described.message_type.fields_by_name["value"].message_type is not None:
            yield from value.values()
    elif hasattr(value, "DESCRIPTOR"):
        yield value
    else:
        yield from value
