"""From a declaration to the frozen desired state: every entity with its version, its spec and its code."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from flyteform import idl
from flyteform.authoring import Entity as Definition
from flyteform.authoring import LaunchPlan as AuthoredLaunchPlan
from flyteform.authoring import MapTask, PythonTask, dependencies, entities
from flyteform.authoring import Workflow as AuthoredWorkflow
from flyteform.provision.bundle import BUNDLE_PLACEHOLDER
from flyteform.provision.codebase import CodeBase, Sources
from flyteform.provision.digest import version_of
from flyteform.provision.errors import DeclarationError
from flyteform.provision.identifiers import identifier_of
from flyteform.provision.loading import load_resources
from flyteform.provision.model import Address, Desired, Entity, Kind, ProjectSettings
from flyteform.provision.resources import LaunchPlan, Project, Resource, Task, Workflow

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from flyteidl.admin import launch_plan_pb2
    from flyteidl.core.identifier_pb2 import Identifier

# What tasks that name no image run in. It is the same for every release of one minor version: an image is part of a
# task's version, and a patch release must not make new versions of everything.
DEFAULT_IMAGE = "flyteform/task:0.1"

# FlyteAdmin's filters, by which names are looked up, have no quoting.
_NAME = re.compile(r"[^\s;,()+/]{1,255}")


@dataclass(frozen=True, slots=True)
class Target:
    """Where entities go that name no place, and the image of tasks that name none."""

    project: str
    domain: str
    image: str = DEFAULT_IMAGE


def declare(path: Path, target: Target) -> Desired:
    """Load the declaration at `path` and return what it wants; its errors say where and what to do."""
    return desired_of(load_resources(path), target)


def desired_of(resources: Iterable[Resource], target: Target, sources: Sources | None = None) -> Desired:
    """Return what the resources want; `DeclarationError` if they contradict each other.

    Several calls may share `sources`, so that each file is read once.
    """
    builder = _Builder(target, sources or Sources())
    for resource in resources:
        builder.add(resource)
    return builder.build()


@dataclass(frozen=True, slots=True)
class _Place:
    project: str
    domain: str

    def address(self, entity: Definition) -> Address:
        return Address(_kind(entity), self.project, self.domain, entity.name)


def _kind(entity: Definition) -> Kind:
    match entity:
        case AuthoredWorkflow():
            return Kind.WORKFLOW
        case AuthoredLaunchPlan():
            return Kind.LAUNCH_PLAN
        case PythonTask() | MapTask():
            return Kind.TASK
        case _:
            assert_never(entity)


class _Builder:
    """Gathers entities, each once, those that are called before those that call them."""

    def __init__(self, target: Target, sources: Sources) -> None:
        self._target = target
        self._projects: dict[str, ProjectSettings] = {}
        self._entities: dict[Address, Entity] = {}
        self._definitions: dict[Address, Definition] = {}
        self._defaults: list[tuple[AuthoredWorkflow, _Place]] = []
        self._code = CodeBase(sources)

    def add(self, resource: Resource) -> None:
        """Take in one resource with all that it needs."""
        match resource:
            case Project():
                self._add_project(resource)
            case Task(entity):
                self._add_tree(entity, self._place(resource))
            case Workflow(entity):
                place = self._place(resource)
                self._add_tree(entity, place)
                self._defaults.append((entity, place))
            case LaunchPlan():
                self._add_launch_plan(resource)

    def build(self) -> Desired:
        """Add the default launch plans that nobody declared otherwise, and the code."""
        for workflow, place in self._defaults:
            if Address(Kind.LAUNCH_PLAN, place.project, place.domain, workflow.name) not in self._entities:
                self._add_entity(_default_launch_plan(workflow), place, active=True)
        bundles, by_address = self._code.bundles()
        entities = tuple(replace(entity, bundle=by_address.get(address)) for address, entity in self._entities.items())
        return Desired(tuple(self._projects.values()), entities, bundles)

    def _place(self, resource: Task | Workflow | LaunchPlan) -> _Place:
        shared = resource.entity if isinstance(resource, LaunchPlan) and isinstance(resource.entity, Workflow) else None
        project = resource.project or (shared.project if shared else None) or self._target.project
        domain = resource.domain or (shared.domain if shared else None) or self._target.domain
        return _Place(project.id if isinstance(project, Project) else project, domain)

    def _add_project(self, project: Project) -> None:
        settings = ProjectSettings(project.id, project.name, project.description, project.labels)
        if self._projects.setdefault(project.id, settings) != settings:
            raise DeclarationError(
                f"project {project.id!r} is declared twice with different settings", remedy="declare it once"
            )

    def _add_tree(self, root: Definition, place: _Place) -> None:
        for entity in entities(root):
            self._add_entity(entity, place, active=None)

    def _add_launch_plan(self, resource: LaunchPlan) -> None:
        place = self._place(resource)
        authored = resource.definition
        self._add_tree(authored.workflow, place)
        self._add_entity(authored, place, active=resource.active)

    def _add_entity(self, definition: Definition, place: _Place, *, active: bool | None) -> None:
        address = place.address(definition)
        known = self._entities.get(address)
        if known is not None and self._definitions[address] is definition:
            self._entities[address] = replace(known, active=_agreed(address, known.active, active))
            return
        entity = replace(self._entity(definition, place), active=active)
        if known is not None:
            if known.version != entity.version:
                raise DeclarationError(
                    f"{address} is declared twice, and not the same way", remedy="give one of them another name"
                )
            entity = replace(known, active=_agreed(address, known.active, active))
        self._entities[address] = entity
        self._definitions.setdefault(address, definition)

    def _entity(self, definition: Definition, place: _Place) -> Entity:
        """Give a definition its version and its spec, in which the versions of what it calls are written."""
        address = place.address(definition)
        if not _NAME.fullmatch(address.name):
            raise DeclarationError(
                f"{address.name!r} cannot be the name of a {address.kind.label}",
                remedy="leave out spaces and any of ; , ( ) + /",
            )
        depends_on = tuple(place.address(each) for each in dependencies(definition))
        match definition:
            case AuthoredLaunchPlan():
                return self._launch_plan_entity(definition, place, depends_on)
            case AuthoredWorkflow():
                identifier = identifier_of(address, "")
                workflow_spec = idl.workflow_spec(definition, identifier, lambda each: self._resolve(each, place))
                version = version_of(workflow_spec)
                workflow_spec.template.id.version = version
                return Entity(address, version, workflow_spec.SerializeToString(deterministic=True), depends_on)
            case PythonTask() | MapTask():
                uri = BUNDLE_PLACEHOLDER if self._code.add(address, definition) else None
                placement = idl.Placement(self._target.image, uri)
                task_spec = idl.task_spec(definition, identifier_of(address, ""), placement)
                code = self._code.digests(address)
                version = version_of(task_spec, code)
                task_spec.template.id.version = version
                return Entity(address, version, task_spec.SerializeToString(deterministic=True), depends_on, code=code)
            case _:
                assert_never(definition)

    def _launch_plan_entity(
        self, definition: AuthoredLaunchPlan, place: _Place, depends_on: tuple[Address, ...]
    ) -> Entity:
        """Version a launch plan; a bare default one has its workflow's, by which stock clients look it up."""
        workflow_id = self._resolve(definition.workflow, place)
        spec = idl.launch_plan_spec(definition, workflow_id)
        is_default = definition.name == definition.workflow.name and spec == _default_spec(definition, workflow_id)
        version = workflow_id.version if is_default else version_of(spec)
        return Entity(place.address(definition), version, spec.SerializeToString(deterministic=True), depends_on)

    def _resolve(self, definition: Definition, place: _Place) -> Identifier:
        address = place.address(definition)
        return identifier_of(address, self._entities[address].version)


def _agreed(address: Address, first: bool | None, second: bool | None) -> bool | None:
    if first is not None and second is not None and first != second:
        raise DeclarationError(f"{address} is declared active and inactive", remedy="declare it once")
    return second if first is None else first


def _default_launch_plan(workflow: AuthoredWorkflow) -> AuthoredLaunchPlan:
    return AuthoredLaunchPlan(name=workflow.name, workflow=workflow)


def _default_spec(definition: AuthoredLaunchPlan, workflow_id: Identifier) -> launch_plan_pb2.LaunchPlanSpec:
    return idl.launch_plan_spec(_default_launch_plan(definition.workflow), workflow_id)
