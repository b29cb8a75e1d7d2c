"""Write the declaration of what a project has: applied, it changes nothing."""

from __future__ import annotations

import ast
import builtins
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flyteidl.admin import launch_plan_pb2
from google.protobuf.json_format import MessageToDict

import flyteform
import flyteform.provision as resources
from flyteform.client.clusters import ClusterClient
from flyteform.errors import FlyteformError
from flyteform.proto.flyteform.v1 import policies_pb2
from flyteform.provision.clusters import declared_part
from flyteform.provision.desired import Target, desired_of
from flyteform.provision.inventory import Inventory, take_inventory
from flyteform.provision.model import Address, Kind
from flyteform.provision.source_text import (
    InexpressibleError,
    call,
    cluster_source,
    execution_keywords,
    identifier,
    notification_source,
    quality_source,
    quoted,
    schedule_source,
    settings_source,
    type_source,
    value_source,
)
from flyteform.provision.specs import attributes_of
from flyteform.types import guess_python

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flyteidl.admin.matchable_resource_pb2 import MatchableAttributesConfiguration
    from google.protobuf.message import Message

    from flyteform.client.admin import AdminClient
    from flyteform.provision.inventory import FoundLaunchPlan, FoundWorkflow

_DATETIME = ("UTC", "datetime", "timedelta")
_SDK = ("CronSchedule", "FixedRate", "Resources")
# FlyteAdmin's filters, by which names and versions are looked up, have no quoting.
_FINDABLE = re.compile(r"[^\s;,()+/]{1,255}").fullmatch
_BEHAVIOR = "CONCURRENCY_BEHAVIOR_"
_BUILTINS = {each.__name__: each for each in (int, float, str, bool, list, dict)}
# What evaluates the text that was written, to compare it with what was read.
_NAMES = {
    **{name: getattr(__import__("datetime"), name) for name in _DATETIME},
    **{name: getattr(flyteform, name) for name in _SDK},
    **{name: getattr(resources, name) for name in resources.__all__},
}


@dataclass(frozen=True, slots=True)
class Imported:
    """The text of a declaration, how many resources it declares, and what it could not say."""

    text: str
    resources: int
    notes: tuple[str, ...]


async def import_declaration(client: AdminClient, project: str, domain: str | None = None) -> Imported:
    """Read what a project has in one domain, or in all, and declare it as it is.

    Code that is registered cannot be read back: tasks and workflows are declared by name and version, launch plans
    with all that they say, and where Python has no words for that by name and version too.
    """
    return declaration_of(await take_inventory(client, project, domain), client.config.endpoint)


async def import_clusters(client: AdminClient) -> Imported:
    """Declare the clusters that a platform has, as they are; `UnsupportedError` if it is a stock FlyteAdmin.

    Those that nobody has declared, whose data planes came by themselves, are left out.
    """
    found = [each async for each in ClusterClient(client.caller).list()]
    texts = [cluster_source(declared_part(each)) for each in found if each.revision]
    notes = tuple(f"cluster {_plain(each.name)}: nobody has declared it" for each in found if not each.revision)
    body = "\n".join([*texts, *(f"# Left out: {note}" for note in notes)])
    head = f'"""The clusters of {_plain(client.config.endpoint)} as `flyteform import` found them."""\n'
    return Imported(f"{head}\n{_imports(body)}\n\n{body}\n", len(texts), notes)


def declaration_of(inventory: Inventory, endpoint: str) -> Imported:
    """Declare what was found."""
    return _Text(inventory).written(endpoint)


@dataclass
class _Text:
    """The declaration as it grows; `taken` are the names that its variables must not have."""

    inventory: Inventory
    blocks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    count: int = 0
    taken: set[str] = field(default_factory=lambda: {*_NAMES, *dir(builtins)})
    variables: dict[Address, str] = field(default_factory=dict)

    def written(self, endpoint: str) -> Imported:
        """Return the whole text."""
        project = self.inventory.project
        name = identifier(project.id, self.taken)
        self.add(f"{name} = {_project(self.inventory)}")
        for row in self.inventory.settings:
            self.settings(row, name)
        for domain in self.inventory.domains:
            self.domain(name, domain)
        body = "\n".join(self.blocks)
        head = f'"""Project {_plain(project.id)} as `flyteform import` found it on {_plain(endpoint)}."""\n'
        return Imported(f"{head}\n{_imports(body)}\n\n{body}\n", self.count, tuple(self.notes))

    def add(self, text: str) -> None:
        """Declare one thing more."""
        self.blocks.append(text)
        self.count += 1

    def note(self, text: str) -> None:
        """Say what is left out."""
        line = " ".join(text.split())
        self.blocks.append(f"# Left out: {line}")
        self.notes.append(line)

    def settings(self, row: MatchableAttributesConfiguration, project: str) -> None:
        """Declare settings, if the text says just what was read."""
        where = "/".join(part for part in (row.project, row.domain, row.workflow) if part)
        try:
            value = _settings(row)
        except (InexpressibleError, FlyteformError, ValueError, TypeError) as error:
            self.note(f"settings of {where}: {error}")
            return
        self.add(call("Settings", [value, project], {"domain": _text(row.domain), "workflow": _text(row.workflow)}))

    def domain(self, project: str, domain: str) -> None:
        """Declare what a domain has: tasks, workflows, launch plans, and what is said about their names."""
        begin = len(self.blocks)
        for address, version in _of(domain, self.inventory.tasks):
            if self._can_be_found(address, version):
                self.add(_registered("RegisteredTask", address, version, project))
        for address, workflow in _of(domain, self.inventory.workflows):
            if self._can_be_found(address, workflow.version):
                self.workflow(address, workflow, project)
        for address, found in _of(domain, self.inventory.launch_plans):
            if self._can_be_found(address, found.plan.id.version):
                self.launch_plan(address, found, project)
        for address, description in _of(domain, self.inventory.descriptions):
            if not _FINDABLE(address.name):
                continue
            what = [quoted(address.kind.value), quoted(address.name), project, quoted(domain)]
            self.add(call("Metadata", what, {"description": quoted(description)}))
        if len(self.blocks) > begin:
            self.blocks.insert(begin, f"\n# {_plain(address.project)}/{_plain(domain)}")

    def workflow(self, address: Address, found: FoundWorkflow, project: str) -> None:
        """Declare a workflow by its version, with a variable if a launch plan can use that."""
        inputs = _inputs(found.inputs)
        text = _registered("RegisteredWorkflow", address, found.version, project, inputs=inputs)
        if inputs is not None and self._is_launched(address, found.version):
            self.variables[address] = identifier(address.name.rpartition(".")[2], self.taken)
            text = f"{self.variables[address]} = {text}"
        self.add(text)

    def launch_plan(self, address: Address, found: FoundLaunchPlan, project: str) -> None:
        """Declare a launch plan with all that it says, or else by its version."""
        try:
            self.add(self._said(address, found))
        except (InexpressibleError, FlyteformError, ValueError, TypeError):
            version = found.plan.id.version
            self.add(_registered("RegisteredLaunchPlan", address, version, project, active=repr(found.active)))
            if found.policy is not None:
                self.note(f"the policy of launch plan {address.name}")

    def _can_be_found(self, address: Address, version: str) -> bool:
        """Tell whether a plan can ask for it, and note it otherwise."""
        if _FINDABLE(address.name) and _FINDABLE(version.replace("/", "")):
            return True
        self.note(f"version {version!r} of {address}: filters of FlyteAdmin cannot ask for it")
        return False

    def _is_launched(self, workflow: Address, version: str) -> bool:
        return any(
            (found.plan.spec.workflow_id.name, found.plan.spec.workflow_id.version) == (workflow.name, version)
            and address.domain == workflow.domain
            for address, found in self.inventory.launch_plans.items()
        )

    def _said(self, address: Address, found: FoundLaunchPlan) -> str:
        """Write a launch plan, and make sure that the text means just what is registered."""
        spec = found.plan.spec
        workflow = Address(Kind.WORKFLOW, spec.workflow_id.project, spec.workflow_id.domain, spec.workflow_id.name)
        known = self.inventory.workflows.get(workflow)
        if workflow not in self.variables or known is None or known.version != spec.workflow_id.version:
            raise InexpressibleError("another version of its workflow")
        variable = self.variables[workflow]
        text = _launch_plan(variable, address, found)
        registered = _registered(
            "RegisteredWorkflow", workflow, known.version, quoted(workflow.project), inputs=_inputs(known.inputs)
        )
        names = {variable: _evaluated(registered, {})}
        entity = _entity(address, (names[variable], _evaluated(text, names)))
        declared = launch_plan_pb2.LaunchPlanSpec.FromString(entity.spec)
        if _tree(declared) != _tree(spec):
            raise InexpressibleError("fields that Python has no words for")
        if entity.version == found.plan.id.version:
            return text
        return _launch_plan(variable, address, found, imported=f"{found.plan.id.version}:{entity.version}")


def _entity(address: Address, declared: Iterable[Any]) -> Any:
    entities = desired_of(declared, Target(address.project, address.domain)).entities
    return next(entity for entity in entities if entity.address == address)


def _settings(row: MatchableAttributesConfiguration) -> str:
    """Write settings, and make sure that the text means just what is set."""
    text = settings_source(row.attributes)
    if _tree(attributes_of(_evaluated(text, {}))) != _tree(row.attributes):
        raise InexpressibleError("fields that Python has no words for")
    return text


def _project(inventory: Inventory) -> str:
    project = inventory.project
    said = {
        "name": quoted(project.name),
        "description": quoted(project.description),
        "labels": value_source(dict(sorted(project.labels.values.items()))) if project.labels.values else None,
    }
    return call("Project", [quoted(project.id)], said)


def _registered(kind: str, address: Address, version: str, project: str, **more: str | None) -> str:
    return call(kind, [quoted(address.name), quoted(version), project, quoted(address.domain)], more)


def _inputs(variables: Mapping[str, Any]) -> str | None:
    """Write the types of inputs, None if Python has no words for one of them."""
    try:
        types = [f"{quoted(name)}: {type_source(variable.type)}" for name, variable in sorted(variables.items())]
    except InexpressibleError:
        return None
    return f"{{{', '.join(types)}}}"


def _launch_plan(workflow: str, address: Address, found: FoundLaunchPlan, imported: str | None = None) -> str:
    spec = found.plan.spec
    default = address.name == spec.workflow_id.name
    parameters = spec.default_inputs.parameters
    defaults = {
        name: guess_python(parameter.default, parameter.var.type)
        for name, parameter in sorted(parameters.items())
        if parameter.WhichOneof("behavior") == "default"
    }
    fixed = {name: guess_python(literal) for name, literal in sorted(spec.fixed_inputs.literals.items())}
    notifications = [notification_source(each) for each in spec.entity_metadata.notifications]
    said: dict[str, str | None] = {
        "name": None if default else quoted(address.name),
        "active": None if found.active else "False",
        "default_inputs": value_source(defaults) if defaults else None,
        "fixed_inputs": value_source(fixed) if fixed else None,
        "schedule": schedule_source(spec.entity_metadata.schedule),
        "notifications": f"[{', '.join(notifications)}]" if notifications else None,
        "concurrency": _concurrency(found),
        **execution_keywords(spec),
        "quality_of_service": quality_source(spec.quality_of_service),
        "cluster_pool": _text(spec.cluster_assignment.cluster_pool_name),
        "imported": None if imported is None else quoted(imported),
    }
    return call("LaunchPlan", [workflow], said)


def _concurrency(found: FoundLaunchPlan) -> str | None:
    if found.policy is not None and found.policy.HasField("concurrency"):
        policy = found.policy.concurrency
        behavior = policies_pb2.ConcurrencyBehavior.Name(policy.behavior).removeprefix(_BEHAVIOR)
        return call("Concurrency", [str(policy.max), quoted(behavior)], {})
    policy_in_spec = found.plan.spec.concurrency_policy
    return call("Concurrency", [str(policy_in_spec.max)], {}) if policy_in_spec.max else None


def _evaluated(text: str, names: Mapping[str, Any]) -> Any:
    """Return what a text means: it has nothing in it but our own words and quoted values."""
    return eval(text, {"__builtins__": {}, **_BUILTINS, **_NAMES, **names})  # noqa: S307 - see above


def _tree(message: Message) -> Any:
    """Return a message as plain values, without what says nothing, and without words for people."""
    return _pruned(MessageToDict(message, preserving_proto_field_name=True))


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        found = {key: _pruned(each) for key, each in value.items() if key != "description"}
        return {key: each for key, each in found.items() if each not in ({}, [], None, "")}
    if isinstance(value, list):
        return [_pruned(each) for each in value]
    return value


def _of(domain: str, things: Mapping[Address, Any]) -> Iterator[tuple[Address, Any]]:
    return ((address, things[address]) for address in sorted(things) if address.domain == domain)


def _text(value: str) -> str | None:
    return quoted(value) if value else None


def _plain(text: str) -> str:
    """Return what can stand in a comment or a docstring."""
    return re.sub(r"[^\w.:/@-]", "?", text)


def _imports(body: str) -> str:
    """Return the imports of what a text uses."""
    words = {each.id for each in ast.walk(ast.parse(body)) if isinstance(each, ast.Name)}
    sources = {"datetime": _DATETIME, "flyteform": _SDK, "flyteform.provision": tuple(resources.__all__)}
    lines = []
    for module, names in sources.items():
        used = sorted(words & set(names))
        if used:
            lines.append(f"from {module} import {', '.join(used)}" if len(used) < 8 else _long_import(module, used))  # noqa: PLR2004 - names that fit on one line
    return "\n".join(lines)


def _long_import(module: str, names: Iterable[str]) -> str:
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")"
