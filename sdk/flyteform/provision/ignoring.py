"""`ignore_changes`: what is wanted takes over the fields that are left alone from what the platform has. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flyteidl.admin import launch_plan_pb2, matchable_resource_pb2, task_pb2, workflow_pb2
from flyteidl.core import tasks_pb2
from flyteidl.core.identifier_pb2 import Identifier

from flyteform.proto.flyteform.v1 import clusters_pb2, policies_pb2
from flyteform.provision.changes import is_ignored
from flyteform.provision.digest import messages_in, version_of
from flyteform.provision.errors import DeclarationError
from flyteform.provision.identifiers import RESOURCE_TYPES
from flyteform.provision.model import Address, Kind
from flyteform.provision.unversioned import unversioned_fields

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from flyteform.provision.model import Desired, Entity, ProjectSettings, Setting
    from flyteform.provision.observed import Observed, ObservedProject

# Where a field of a launch plan lies in its spec.
_LAUNCH_PLAN = {
    "schedule": "entity_metadata.schedule",
    "notifications": "entity_metadata.notifications",
    "default_inputs": "default_inputs.parameters",
    "fixed_inputs": "fixed_inputs.literals",
    "labels": "labels.values",
    "annotations": "annotations.values",
    "envs": "envs.values",
    "max_parallelism": "max_parallelism",
    "security_context": "security_context",
    "raw_output_data_config": "raw_output_data_config",
    "interruptible": "interruptible",
    "overwrite_cache": "overwrite_cache",
    "quality_of_service": "quality_of_service",
    "cluster_assignment": "cluster_assignment",
    "concurrency_policy": "concurrency_policy",
}
_TASK = {
    "image": "container.image",
    "resources": "container.resources",
    "resources.requests": "container.resources.requests",
    "resources.limits": "container.resources.limits",
    "environment": "container.env",
    "retries": "metadata.retries",
    "timeout": "metadata.timeout",
    "interruptible": "metadata.interruptible",
    "secrets": "security_context.secrets",
    "custom": "custom",
    "config": "config",
}
_WITHOUT_SPEC = frozenset({"active", "*"})  # of a launch plan; and of everything that has no versions
_SPECS: Mapping[Kind, type[Any]] = {
    Kind.TASK: task_pb2.TaskSpec,
    Kind.WORKFLOW: workflow_pb2.WorkflowSpec,
    Kind.LAUNCH_PLAN: launch_plan_pb2.LaunchPlanSpec,
}
_UNVERSIONED: Mapping[Kind, type[Any]] = {
    Kind.SETTINGS: matchable_resource_pb2.MatchingAttributes,
    Kind.POLICY: policies_pb2.LaunchPlanPolicy,
    Kind.CLUSTER: clusters_pb2.Cluster,
}
_BY_TYPE = {number: kind for kind, number in RESOURCE_TYPES.items()}


def keep_ignored(desired: Desired, observed: Observed) -> Desired:
    """Return what is wanted, with the ignored fields as they are on the platform.

    What has versions may get another version by it, and so may what calls it. `DeclarationError` for a field that
    cannot be ignored.
    """
    ignored = {
        address: options.ignore_changes for address, options in desired.options.items() if options.ignore_changes
    }
    if not ignored:
        return desired
    return replace(
        desired,
        projects=tuple(
            _project(each, ignored.get(each.address, ()), observed.projects.get(each.id)) for each in desired.projects
        ),
        settings=tuple(_setting(each, ignored.get(each.address, ()), observed) for each in desired.settings),
        entities=tuple(_entities(desired.entities, ignored, observed)),
    )


def _project(wanted: ProjectSettings, ignored: Iterable[str], observed: ObservedProject | None) -> ProjectSettings:
    if observed is None:
        return wanted
    for path in ignored:
        name, _, key = path.partition(".")
        match name:
            case "name":
                wanted = replace(wanted, name=None)
            case "description":
                wanted = replace(wanted, description=None)
            case "labels" if not key or key == "*":
                wanted = replace(wanted, labels=None)
            case "labels":
                own = {label: text for label, text in (wanted.labels or {}).items() if label != key}
                kept = {key: observed.labels[key]} if key in observed.labels else {}
                wanted = replace(wanted, labels=own | kept)
            case _:
                raise _refusal(wanted.address, path, ("name", "description", "labels", "labels.KEY"))
    return wanted


def _setting(wanted: Setting, ignored: Iterable[str], observed: Observed) -> Setting:
    """Take over the ignored fields; what is declared of metadata apart from them is all that is looked at."""
    spec = observed.settings.get(wanted.address)
    paths = tuple(ignored)
    if spec is None or not paths:
        return wanted
    if wanted.address.kind is Kind.METADATA:
        left = {path: text for path, text in wanted.fields.items() if path not in paths}
        return replace(wanted, fields=left)
    if all(is_ignored(path, paths) for path in wanted.fields):
        return replace(wanted, spec=spec, fields=unversioned_fields(wanted.address, spec))
    merged = _merged(wanted, spec, paths)
    return replace(wanted, spec=merged, fields=unversioned_fields(wanted.address, merged))


def _merged(wanted: Setting, spec: bytes, paths: Iterable[str]) -> bytes:
    kind = _UNVERSIONED[wanted.address.kind]
    own, theirs = kind.FromString(wanted.spec), kind.FromString(spec)
    into, source = own, theirs
    if wanted.address.kind is Kind.SETTINGS:
        into, source = (getattr(each, own.WhichOneof("target")) for each in (own, theirs))
    elif wanted.address.kind is Kind.CLUSTER:
        into, source = own.spec, theirs.spec
        if "state" in paths:
            own.ClearField("state")
    for path in paths:
        if path == "state" and wanted.address.kind is Kind.CLUSTER:
            continue
        spelled = path if wanted.address.kind is Kind.CLUSTER else _spelled(path)
        parts = spelled.removesuffix(".*").split(".")
        if not _take(into, source, parts):
            names = [field.name for field in into.DESCRIPTOR.fields]
            raise _refusal(wanted.address, path, names)
    message: Message = own
    return message.SerializeToString(deterministic=True)


def _spelled(path: str) -> str:
    """Return where a field of settings lies in its message."""
    for name, place in (
        ("environment", "envs.values"),
        ("labels", "labels.values"),
        ("annotations", "annotations.values"),
        ("raw_output_prefix", "raw_output_data_config"),
        ("service_account", "security_context.run_as.k8s_service_account"),
        ("iam_role", "security_context.run_as.iam_role"),
    ):
        if path == name or path.startswith(f"{name}."):
            return place + path.removeprefix(name)
    return path


def _entities(
    entities: Iterable[Entity], ignored: Mapping[Address, Iterable[str]], observed: Observed
) -> Iterable[Entity]:
    changed: dict[tuple[Address, str], str] = {}
    for entity in entities:
        base = observed.active.get(entity.address) or observed.latest.get(entity.address)
        paths = ignored.get(entity.address, ())
        spec = _SPECS[entity.address.kind].FromString(entity.spec)
        if base is not None and paths:
            _overlay(entity.address, spec, base.spec, paths)
        _refer(spec, changed)
        if spec.SerializeToString(deterministic=True) == entity.spec:
            yield entity
            continue
        version = _version(entity, spec, changed)
        changed[entity.address, entity.version] = version
        yield replace(entity, version=version, spec=spec.SerializeToString(deterministic=True))


def _overlay(address: Address, spec: Any, base: bytes, paths: Iterable[str]) -> None:
    """Copy the ignored parts of the observed spec into the wanted one."""
    places, into, source = _LAUNCH_PLAN, spec, spec
    match address.kind:
        case Kind.LAUNCH_PLAN:
            source = launch_plan_pb2.LaunchPlanSpec.FromString(base)
        case Kind.TASK:
            places, into, source = _TASK, spec.template, tasks_pb2.TaskTemplate.FromString(base)
        case _:
            raise _refusal(address, next(iter(paths)), ())
    for path in paths:
        if path in _WITHOUT_SPEC:
            continue
        plain = path.removesuffix(".*")
        name = next((each for each in sorted(places, key=len, reverse=True) if is_ignored(plain, (each,))), None)
        rest = plain.removeprefix(name or "").removeprefix(".")
        if name is None or not _take(into, source, [*places[name].split("."), *([rest] if rest else [])]):
            raise _refusal(address, path, places)


def _take(into: Any, source: Any, parts: list[str]) -> bool:
    """Make one part of a message what it is in another one; return whether there is such a part."""
    name, *rest = parts
    if name not in into.DESCRIPTOR.fields_by_name:
        return False
    field = into.DESCRIPTOR.fields_by_name[name]
    if rest and field.message_type is not None and not _is_repeated(field):
        return _take(getattr(into, name), getattr(source, name), rest)
    if rest and _is_repeated(field):
        return _take_entry(getattr(into, name), getattr(source, name), ".".join(rest))
    into.ClearField(name)
    partial = type(into)()
    partial.CopyFrom(source)
    for other in partial.DESCRIPTOR.fields:
        if other.name != name:
            partial.ClearField(other.name)
    into.MergeFrom(partial)
    return True


def _is_repeated(field: Any) -> bool:
    return bool(field.is_repeated) if hasattr(field, "is_repeated") else bool(field.label == field.LABEL_REPEATED)


def _take_entry(into: Any, source: Any, key: str) -> bool:
    """Make one entry of a map, or of a list of named pairs, what it is in another one."""
    if isinstance(into, Mapping) or hasattr(into, "items"):
        into.pop(key, None)
        if key in source:
            one = source[key]
            if hasattr(one, "DESCRIPTOR"):
                into[key].CopyFrom(one)
            else:
                into[key] = one
        return True
    kept = [each for each in into if _entry_name(each) != key]
    added = [each for each in source if _entry_name(each) == key]
    del into[:]
    into.extend(sorted([*kept, *added], key=_entry_name) if added else kept)
    return True


def _entry_name(entry: Any) -> str:
    if hasattr(entry, "key"):
        return str(entry.key)
    if isinstance(entry, tasks_pb2.Resources.ResourceEntry):
        return tasks_pb2.Resources.ResourceName.Name(entry.name).lower()
    return str(getattr(entry, "name", getattr(entry, "task_type", "")))


def _refer(spec: Message, changed: Mapping[tuple[Address, str], str]) -> None:
    """Refer to the new versions of what has got one."""
    if not changed:
        return
    for message in messages_in(spec):
        if isinstance(message, Identifier) and message.resource_type in _BY_TYPE:
            address = Address(_BY_TYPE[message.resource_type], message.project, message.domain, message.name)
            message.version = changed.get((address, message.version), message.version)


def _version(entity: Entity, spec: Any, changed: Mapping[tuple[Address, str], str]) -> str:
    if isinstance(spec, launch_plan_pb2.LaunchPlanSpec):
        followed = changed.get((replace(entity.address, kind=Kind.WORKFLOW), entity.version))
        return followed or version_of(spec)
    spec.template.id.version = ""
    version = version_of(spec, entity.code)
    spec.template.id.version = version
    return version


def _refusal(address: Address, path: str, known: Iterable[str]) -> DeclarationError:
    names = ", ".join(known)
    remedy = f"ignore one of: {names}" if names else "its graph is what it is: ignore fields of its tasks instead"
    return DeclarationError(f"{address}: ignore_changes cannot name {path!r}", remedy=remedy)
