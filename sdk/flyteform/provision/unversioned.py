"""What has no versions: how settings, policies, metadata and clusters are addressed, and taken apart into fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from flyteidl.admin import common_pb2, matchable_resource_pb2
from google.protobuf.json_format import MessageToDict

from flyteform.client.attributes import Scope
from flyteform.proto.flyteform.v1 import clusters_pb2, policies_pb2
from flyteform.provision.clusters import cluster_fields
from flyteform.provision.model import Address, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from google.protobuf.message import Message

Fields = dict[str, str]
Value = TypeVar("Value")
UNVERSIONED = frozenset({Kind.CLUSTER, Kind.SETTINGS, Kind.POLICY, Kind.METADATA})

_TARGETS = {
    "task_resource_attributes": matchable_resource_pb2.TASK_RESOURCE,
    "cluster_resource_attributes": matchable_resource_pb2.CLUSTER_RESOURCE,
    "execution_queue_attributes": matchable_resource_pb2.EXECUTION_QUEUE,
    "execution_cluster_label": matchable_resource_pb2.EXECUTION_CLUSTER_LABEL,
    "quality_of_service": matchable_resource_pb2.QUALITY_OF_SERVICE_SPECIFICATION,
    "plugin_overrides": matchable_resource_pb2.PLUGIN_OVERRIDE,
    "workflow_execution_config": matchable_resource_pb2.WORKFLOW_EXECUTION_CONFIG,
    "cluster_assignment": matchable_resource_pb2.CLUSTER_ASSIGNMENT,
}
_BEHAVIOR = "CONCURRENCY_BEHAVIOR_"


def settings_address(project: str, domain: str, workflow: str, attribute: str) -> Address:
    """Return the address of one kind of settings; blank parts of the scope mean all."""
    return Address(Kind.SETTINGS, project, domain, f"{workflow}/{attribute}" if workflow else attribute)


def scope_of(address: Address) -> Scope:
    """Return what settings are for."""
    return Scope(address.project, address.domain, address.name.rpartition("/")[0])


def attribute_of(address: Address) -> matchable_resource_pb2.MatchableResource:
    """Return which kind of settings it is."""
    name = address.name.rpartition("/")[2].upper()
    return next(each for each in _TARGETS.values() if matchable_resource_pb2.MatchableResource.Name(each) == name)


def attribute_name(attributes: matchable_resource_pb2.MatchingAttributes) -> str | None:
    """Return the name of the kind of settings that a message has, None if it is empty."""
    target = attributes.WhichOneof("target")
    return matchable_resource_pb2.MatchableResource.Name(_TARGETS[target]).lower() if target else None


def metadata_address(owner: Address) -> Address:
    """Return the address of what is said about a name."""
    return Address(Kind.METADATA, owner.project, owner.domain, f"{owner.kind.value}/{owner.name}")


def owner_of(metadata: Address) -> Address:
    """Return the task, workflow or launch plan that metadata is about."""
    kind, _, name = metadata.name.partition("/")
    return Address(Kind(kind), metadata.project, metadata.domain, name)


def unversioned_fields(address: Address, spec: bytes) -> Fields:
    """Take serialised settings, a policy, metadata, or a cluster apart."""
    match address.kind:
        case Kind.SETTINGS:
            return attribute_fields(matchable_resource_pb2.MatchingAttributes.FromString(spec))
        case Kind.POLICY:
            return policy_fields(policies_pb2.LaunchPlanPolicy.FromString(spec))
        case Kind.CLUSTER:
            return cluster_fields(clusters_pb2.Cluster.FromString(spec))
        case _:
            return metadata_fields(common_pb2.NamedEntityMetadata.FromString(spec))


def comparable(address: Address, observed: dict[str, Value], declared: Iterable[str]) -> dict[str, Value]:
    """Return the observed fields that a declaration speaks of: the others are left as the platform has them.

    A name has a description and a state from its beginning, and a cluster a state: what is declared of them counts.
    """
    match address.kind:
        case Kind.METADATA:
            return {path: text for path, text in observed.items() if path in declared}
        case Kind.CLUSTER:
            return {path: text for path, text in observed.items() if path != "state" or path in declared}
        case _:
            return observed


def attribute_fields(attributes: matchable_resource_pb2.MatchingAttributes) -> Fields:
    """Take settings apart: `defaults.cpu`, `labels.team`, `overrides.spark`."""
    target = attributes.WhichOneof("target")
    if target is None:
        return {}
    if target == "plugin_overrides":
        return dict(_override_fields(attributes.plugin_overrides))
    if target == "workflow_execution_config":
        return execution_fields(attributes.workflow_execution_config)
    fields = dict(_flat("", MessageToDict(getattr(attributes, target), preserving_proto_field_name=True)))
    return {path.removeprefix("attributes."): text for path, text in fields.items()} or {target: "(empty)"}


def _override_fields(overrides: matchable_resource_pb2.PluginOverrides) -> Iterator[tuple[str, str]]:
    for one in overrides.overrides:
        missing = "" if one.missing_plugin_behavior == one.FAIL else ", else the default"
        yield f"overrides.{one.task_type}", f"{', '.join(one.plugin_id)}{missing}"


def execution_fields(message: Message) -> Fields:
    """Take what settings and launch plans say about executions apart."""
    tree = MessageToDict(message, preserving_proto_field_name=True)
    for name in ("labels", "annotations"):
        tree[name] = tree.get(name, {}).get("values", {})
    for pair in tree.pop("envs", {}).get("values", []):
        tree[f"environment.{pair['key']}"] = pair.get("value", "")
    fields = dict(_flat("", tree))
    names = {
        "raw_output_data_config.output_location_prefix": "raw_output_prefix",
        "security_context.run_as.k8s_service_account": "service_account",
        "security_context.run_as.iam_role": "iam_role",
        "cluster_assignment.cluster_pool_name": "cluster_pool",
        "quality_of_service.spec.queueing_budget": "quality_of_service",
        "quality_of_service.tier": "quality_of_service",
    }
    return {names.get(path, path): text for path, text in fields.items()}


def _flat(path: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield the leaves of a tree with their paths; lists of texts are one leaf."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _flat(f"{path}.{key}" if path else str(key), each)
    elif isinstance(value, list) and not all(isinstance(each, str) for each in value):
        for index, each in enumerate(value):
            yield from _flat(f"{path}.{index}", each)
    elif isinstance(value, list):
        yield path, ", ".join(value)
    else:
        yield path, str(value).lower() if isinstance(value, bool) else str(value)


def policy_fields(policy: policies_pb2.LaunchPlanPolicy) -> Fields:
    """Take a policy apart."""
    fields = {"catch_up": str(policy.catch_up.max)} if policy.HasField("catch_up") else {}
    if not policy.HasField("concurrency"):
        return fields
    behavior = policies_pb2.ConcurrencyBehavior.Name(policy.concurrency.behavior).removeprefix(_BEHAVIOR)
    return fields | {"concurrency.max": str(policy.concurrency.max), "concurrency.behavior": behavior}


def metadata_fields(metadata: common_pb2.NamedEntityMetadata) -> Fields:
    """Take what is said about a name apart."""
    archived = metadata.state == common_pb2.NAMED_ENTITY_ARCHIVED
    return {"description": metadata.description, "state": "archived" if archived else "active"}


def metadata_spec(fields: Mapping[str, str]) -> common_pb2.NamedEntityMetadata:
    """Put metadata together; what is not among the fields is as for a new name."""
    archived = fields.get("state") == "archived"
    return common_pb2.NamedEntityMetadata(
        description=fields.get("description", ""),
        state=common_pb2.NAMED_ENTITY_ARCHIVED if archived else common_pb2.NAMED_ENTITY_ACTIVE,
    )
