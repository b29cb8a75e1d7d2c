"""Definitions as entities: every task, workflow and launch plan with its version, its spec and its code."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, assert_never

from flyteform import idl
from flyteform.authoring import LaunchPlan as AuthoredLaunchPlan
from flyteform.authoring import MapTask, PythonTask, dependencies, entities
from flyteform.authoring import Workflow as AuthoredWorkflow
from flyteform.provision.bundle import BUNDLE_PLACEHOLDER
from flyteform.provision.digest import version_of
from flyteform.provision.errors import DeclarationError
from flyteform.provision.identifiers import identifier_of
from flyteform.provision.model import Address, Entity, Kind
from flyteform.provision.resources import RegisteredDefinition, is_flytekit
from flyteform.provision.specs import complete_launch_plan, execution_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteidl.admin import launch_plan_pb2
    from flyteidl.core.identifier_pb2 import Identifier

    from flyteform.authoring import Entity as Definition
    from flyteform.provision.codebase import CodeBase
    from flyteform.provision.resources import LaunchPlan

# FlyteAdmin's filters, by which names are looked up, have no quoting.
_NAME = re.compile(r"[^\s;,()+/]{1,255}")


@dataclass(frozen=True, slots=True)
class Place:
    """A project and a domain of it."""

    project: str
    domain: str

    def address(self, kind: Kind, name: str) -> Address:
        """Return the address of a name here; `DeclarationError` if no platform could take it."""
        if not _NAME.fullmatch(name):
            raise DeclarationError(
                f"{name!r} cannot be the name of a {kind.label}",
                remedy="leave out spaces and any of ; , ( ) + /",
            )
        return Address(kind, self.project, self.domain, name)

    def launch_plan(self, name: str) -> Address:
        """Return the address of a launch plan here."""
        return self.address(Kind.LAUNCH_PLAN, name)

    def of(self, definition: Definition) -> Address:
        """Return the address of a definition here."""
        return self.address(_kind(definition), definition.name)


def _kind(definition: Definition) -> Kind:
    match definition:
        case AuthoredWorkflow():
            return Kind.WORKFLOW
        case AuthoredLaunchPlan():
            return Kind.LAUNCH_PLAN
        case PythonTask() | MapTask():
            return Kind.TASK
        case _:
            assert_never(definition)


class Definitions:
    """Gathers entities, each once, those that are called before those that call them."""

    def __init__(self, image: str, code: CodeBase, *, flytekit_image: str | None) -> None:
        self._image = image
        self._flytekit_image = flytekit_image
        self._code = code
        self._entities: dict[Address, Entity] = {}
        self._definitions: dict[Address, object] = {}
        self._launch_plans: dict[Address, LaunchPlan] = {}

    def note(self, address: Address, resource: LaunchPlan) -> None:
        """Hear what a launch plan says beyond its definition."""
        known = self._launch_plans.setdefault(address, resource)
        if execution_of(known) != execution_of(resource):
            raise DeclarationError(f"{address} is declared twice, and not the same way", remedy="declare it once")

    def add_tree(self, root: Any, place: Place, *, active: bool | None = None) -> Address:
        """Take in a definition and all that it calls; `active` is about a launch plan. Returns its address."""
        if is_flytekit(root):
            return self._add_flytekit(root, place, active=active)
        for definition in entities(root):
            self._add(definition, place, active=active if definition is root else None)
        address: Address = place.of(root)
        return address

    def add_default(self, workflow: Any, place: Place) -> None:
        """Take in a workflow's default launch plan, active, unless a launch plan of that name is declared."""
        if place.launch_plan(workflow.name) in self._entities:
            return
        if is_flytekit(workflow):
            from flyteform.provision.flytekit import default_launch_plan

            self.add_tree(default_launch_plan(workflow), place, active=True)
        else:
            self._add(AuthoredLaunchPlan(name=workflow.name, workflow=workflow), place, active=True)

    def add_registered(self, address: Address, version: str, *, active: bool | None = None) -> Address:
        """Take in what is registered already."""
        self._take(Entity(address, version, b""), address, active)
        return address

    def build(self) -> tuple[tuple[Entity, ...], Mapping[str, bytes]]:
        """Return the entities, and the bundles of their code by digest."""
        bundles, by_address = self._code.bundles()
        found = tuple(replace(entity, bundle=by_address.get(address)) for address, entity in self._entities.items())
        return found, bundles

    def _add(self, definition: Definition, place: Place, *, active: bool | None) -> None:
        address = place.of(definition)
        if self._definitions.get(address) is definition:
            self._activate(address, active)
        else:
            self._take(self._entity(definition, place), definition, active)

    def _take(self, entity: Entity, definition: object, active: bool | None) -> None:
        known = self._entities.setdefault(entity.address, entity)
        if known.version != entity.version:
            raise DeclarationError(
                f"{entity.address} is declared twice, and not the same way", remedy="give one of them another name"
            )
        self._definitions.setdefault(entity.address, definition)
        self._activate(entity.address, active)

    def _activate(self, address: Address, active: bool | None) -> None:
        known = self._entities[address]
        if active is not None and known.active not in (None, active):
            raise DeclarationError(f"{address} is declared active and inactive", remedy="declare it once")
        self._entities[address] = replace(known, active=known.active if active is None else active)

    def _add_flytekit(self, root: Any, place: Place, *, active: bool | None) -> Address:
        from flyteform.provision.flytekit import translate

        found = translate(root, place, self._flytekit_image, self._code, self._launch_plans)
        for entity in found:
            self._take(entity, root, active if entity is found[-1] else None)
        return found[-1].address

    def _entity(self, definition: Definition, place: Place) -> Entity:
        """Give a definition its version and its spec, in which the versions of what it calls are written."""
        address = place.of(definition)
        depends_on = tuple(place.of(each) for each in dependencies(definition))
        match definition:
            case AuthoredLaunchPlan():
                return self._launch_plan_entity(definition, place, depends_on)
            case RegisteredDefinition():
                return Entity(address, definition.version, b"")
            case AuthoredWorkflow():
                identifier = identifier_of(address, "")
                workflow_spec = idl.workflow_spec(definition, identifier, lambda each: self._resolve(each, place))
                version = version_of(workflow_spec)
                workflow_spec.template.id.version = version
                return Entity(address, version, workflow_spec.SerializeToString(deterministic=True), depends_on)
            case PythonTask() | MapTask():
                uri = BUNDLE_PLACEHOLDER if self._code.add(address, definition) else None
                placement = idl.Placement(self._image, uri)
                task_spec = idl.task_spec(definition, identifier_of(address, ""), placement)
                code = self._code.digests(address)
                version = version_of(task_spec, code)
                task_spec.template.id.version = version
                return Entity(address, version, task_spec.SerializeToString(deterministic=True), depends_on, code=code)
            case _:
                assert_never(definition)

    def _launch_plan_entity(
        self, definition: AuthoredLaunchPlan, place: Place, depends_on: tuple[Address, ...]
    ) -> Entity:
        """Version a launch plan; a bare default one has its workflow's, by which stock clients look it up."""
        workflow_id = self._resolve(definition.workflow, place)
        spec = idl.launch_plan_spec(definition, workflow_id)
        address = place.of(definition)
        if address in self._launch_plans:
            complete_launch_plan(spec, self._launch_plans[address])
        is_default = definition.name == definition.workflow.name and spec == _default_spec(definition, workflow_id)
        version = (
            workflow_id.version if is_default else _unless_imported(version_of(spec), self._launch_plans.get(address))
        )
        return Entity(address, version, spec.SerializeToString(deterministic=True), depends_on)

    def _resolve(self, definition: Definition, place: Place) -> Identifier:
        address = place.of(definition)
        return identifier_of(address, self._entities[address].version)


def _unless_imported(digest: str, resource: LaunchPlan | None) -> str:
    """Return the version that was registered with what the digest stands for, if it was imported as that."""
    version, _, imported = ("" if resource is None else resource.imported or "").rpartition(":")
    return version if imported == digest else digest


def _default_spec(definition: AuthoredLaunchPlan, workflow_id: Identifier) -> launch_plan_pb2.LaunchPlanSpec:
    default = AuthoredLaunchPlan(name=definition.workflow.name, workflow=definition.workflow)
    return idl.launch_plan_spec(default, workflow_id)
