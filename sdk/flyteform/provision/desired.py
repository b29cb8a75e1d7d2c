"""From a declaration to the frozen desired state: every entity with its version, its spec and its code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flyteform.provision.clusters import cluster_fields, cluster_message
from flyteform.provision.codebase import CodeBase, Sources
from flyteform.provision.definitions import Definitions, Place
from flyteform.provision.errors import DeclarationError
from flyteform.provision.loading import load_resources
from flyteform.provision.model import (
    Address,
    Desired,
    Kind,
    Options,
    ProjectSettings,
    Setting,
    cluster_address,
    project_address,
)
from flyteform.provision.resources import (
    Cluster,
    LaunchPlan,
    Metadata,
    Project,
    QualityOfService,
    RegisteredLaunchPlan,
    RegisteredTask,
    RegisteredWorkflow,
    Resource,
    Settings,
    Task,
    Workflow,
)
from flyteform.provision.specs import attributes_of, policy_of
from flyteform.provision.unversioned import (
    attribute_fields,
    metadata_address,
    metadata_spec,
    policy_fields,
    settings_address,
)
from flyteform.provision.variables import given

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from flyteform.authoring import Workflow as AuthoredWorkflow


# What tasks that name no image run in. It is the same for every release of one minor version: an image is part of a
# task's version, and a patch release must not make new versions of everything.
DEFAULT_IMAGE = "flyteform/task:0.1"


@dataclass(frozen=True, slots=True)
class Target:
    """Where entities go that name no place, and the image of tasks that name none."""

    project: str
    domain: str
    image: str = DEFAULT_IMAGE


def declare(path: Path, target: Target, variables: Mapping[str, str] | None = None) -> Desired:
    """Load the declaration at `path` and return what it wants; its errors say where and what to do."""
    with given(variables or {}):
        resources = load_resources(path)
    return desired_of(resources, target)


def desired_of(resources: Iterable[Resource], target: Target, sources: Sources | None = None) -> Desired:
    """Return what the resources want; `DeclarationError` if they contradict each other.

    Several calls may share `sources`, so that each file is read once.
    """
    declared = tuple(resources)
    builder = _Builder(target, sources or Sources())
    # What a launch plan says has to be known before the workflows that call it are given their versions.
    for resource in declared:
        if isinstance(resource, LaunchPlan):
            builder.note(resource)
    for resource in declared:
        builder.add(resource)
    return builder.build()


class _Builder:
    """Gathers what resources want, each thing once, what is called before what calls it."""

    def __init__(self, target: Target, sources: Sources) -> None:
        self._target = target
        self._projects: dict[str, ProjectSettings] = {}
        self._settings: dict[Address, Setting] = {}
        self._options: dict[Address, Options] = {}
        self._primary: dict[int, Address] = {}
        self._resources: list[tuple[Resource, tuple[Address, ...]]] = []
        self._defaults: list[tuple[AuthoredWorkflow, Place]] = []
        # flytekit's tasks need an image with flytekit in it.
        foreign = None if target.image == DEFAULT_IMAGE else target.image
        self._definitions = Definitions(target.image, CodeBase(sources), flytekit_image=foreign)

    def note(self, resource: LaunchPlan) -> None:
        """Hear what a launch plan says beyond its definition."""
        self._definitions.note(self._place(resource).launch_plan(resource.definition.name), resource)

    def add(self, resource: Resource) -> None:
        """Take in one resource with all that it needs; its own addresses come first."""
        match resource:
            case Project():
                addresses: tuple[Address, ...] = (self._add_project(resource),)
            case Settings():
                addresses = (self._add_settings(resource),)
            case Cluster():
                addresses = (self._add_cluster(resource),)
            case Metadata():
                addresses = (self._add_metadata(resource),)
            case Task():
                place = self._place(resource)
                address = self._definitions.add_tree(resource.entity, place)
                addresses = (address, *self._described(address, resource.description))
            case Workflow():
                addresses = self._add_workflow(resource)
            case RegisteredTask() | RegisteredWorkflow() | RegisteredLaunchPlan():
                addresses = (self._add_registered(resource),)
            case LaunchPlan():
                addresses = self._add_launch_plan(resource)
            case _:
                raise DeclarationError(
                    f"{resource!r} cannot be provisioned", remedy="use flyteform.provision's classes"
                )
        self._primary[id(resource)] = addresses[0]
        self._resources.append((resource, addresses))

    def build(self) -> Desired:
        """Add the default launch plans that nobody declared otherwise, options, and the code."""
        for workflow, place in self._defaults:
            self._definitions.add_default(workflow, place)
        entities, bundles = self._definitions.build()
        for resource, addresses in self._resources:
            self._add_options(resource, addresses)
        return Desired(tuple(self._projects.values()), entities, bundles, tuple(self._settings.values()), self._options)

    def _place(
        self,
        resource: Task
        | Workflow
        | LaunchPlan
        | Metadata
        | Settings
        | RegisteredTask
        | RegisteredWorkflow
        | RegisteredLaunchPlan,
    ) -> Place:
        parent = resource.entity if isinstance(resource, LaunchPlan) else None
        shared = parent if isinstance(parent, Workflow | RegisteredWorkflow) else None
        project = resource.project or (shared.project if shared else None) or self._target.project
        domain = resource.domain or (shared.domain if shared else None) or self._target.domain
        return Place(project.id if isinstance(project, Project) else project, domain)

    def _add_project(self, project: Project) -> Address:
        settings = ProjectSettings(project.id, project.name, project.description, project.labels)
        if self._projects.setdefault(project.id, settings) != settings:
            raise DeclarationError(
                f"project {project.id!r} is declared twice with different settings", remedy="declare it once"
            )
        return settings.address

    def _add_workflow(self, resource: Workflow) -> tuple[Address, ...]:
        place = self._place(resource)
        address = self._definitions.add_tree(resource.entity, place)
        self._defaults.append((resource.entity, place))
        return (address, place.launch_plan(address.name), *self._described(address, resource.description))

    def _add_registered(self, resource: RegisteredTask | RegisteredWorkflow | RegisteredLaunchPlan) -> Address:
        place = self._place(resource)
        match resource:
            case RegisteredTask(name, version):
                return self._definitions.add_registered(place.address(Kind.TASK, name), version)
            case RegisteredWorkflow(name, version):
                return self._definitions.add_registered(place.address(Kind.WORKFLOW, name), version)
            case RegisteredLaunchPlan(name, version):
                return self._definitions.add_registered(place.launch_plan(name), version, active=resource.active)

    def _add_launch_plan(self, resource: LaunchPlan) -> tuple[Address, ...]:
        address = self._definitions.add_tree(resource.definition, self._place(resource), active=resource.active)
        own = (address, *self._described(address, resource.description))
        policy = policy_of(resource)
        if policy is None:
            return own
        at = replace(address, kind=Kind.POLICY)
        self._set(Setting(at, policy.SerializeToString(deterministic=True), policy_fields(policy), (address,)))
        return (*own, at)

    def _add_settings(self, resource: Settings) -> Address:
        owner = resource.workflow
        shared = owner if isinstance(owner, Workflow) else None
        project = resource.project or (shared.project if shared else None) or self._target.project
        domain = resource.domain or (self._place(shared).domain if shared else "")
        workflow = owner if isinstance(owner, str) else getattr(shared.entity if shared else owner, "name", "")
        if isinstance(resource.value, QualityOfService):
            raise DeclarationError(
                "Settings(QualityOfService(…)): Flyte takes it from executions and launch plans alone",
                remedy="write LaunchPlan(…, quality_of_service=QualityOfService(…))",
            )
        value = attributes_of(resource.value)
        address = settings_address(
            project.id if isinstance(project, Project) else project, domain, workflow, resource.value.attribute
        )
        spec = value.SerializeToString(deterministic=True)
        self._set(Setting(address, spec, attribute_fields(value), (project_address(address.project),)))
        return address

    def _add_cluster(self, resource: Cluster) -> Address:
        message = cluster_message(resource)
        spec = message.SerializeToString(deterministic=True)
        self._set(Setting(cluster_address(resource.name), spec, cluster_fields(message)))
        return cluster_address(resource.name)

    def _add_metadata(self, resource: Metadata) -> Address:
        place = self._place(resource)
        owner = Address(Kind(resource.kind), place.project, place.domain, resource.name)
        fields = {} if resource.archived is None else {"state": "archived" if resource.archived else "active"}
        if resource.description is not None:
            fields["description"] = resource.description
        return self._describe(owner, fields)

    def _described(self, owner: Address, description: str | None) -> tuple[Address, ...]:
        return () if description is None else (self._describe(owner, {"description": description}),)

    def _describe(self, owner: Address, fields: dict[str, str]) -> Address:
        spec = metadata_spec(fields).SerializeToString(deterministic=True)
        self._set(Setting(metadata_address(owner), spec, fields, (owner,)))
        return metadata_address(owner)

    def _set(self, setting: Setting) -> None:
        if self._settings.setdefault(setting.address, setting) != setting:
            raise DeclarationError(
                f"{setting.address} is declared twice, and not the same way", remedy="declare it once"
            )

    def _add_options(self, resource: Resource, addresses: tuple[Address, ...]) -> None:
        """Protect all that a resource stands for; the other options are about what it is in the first place."""
        primary = addresses[0]
        own = Options(
            resource.protect,
            resource.ignore_changes,
            tuple(self._depended_on(each, primary) for each in resource.depends_on),
            tuple(_former(name, primary) for name in resource.moved),
        )
        self._merge(primary, own)
        for address in addresses[1:]:
            former = own.moved if address.kind is Kind.LAUNCH_PLAN else ()
            moved = tuple(replace(each, kind=address.kind) for each in former)
            self._merge(address, Options(protect=own.protect, ignore_changes=own.ignore_changes, moved=moved))

    def _merge(self, address: Address, options: Options) -> None:
        known = self._options.get(address, Options())
        merged = Options(
            known.protect or options.protect,
            tuple(dict.fromkeys((*known.ignore_changes, *options.ignore_changes))),
            tuple(dict.fromkeys((*known.depends_on, *options.depends_on))),
            tuple(dict.fromkeys((*known.moved, *options.moved))),
        )
        if merged != Options():
            self._options[address] = merged

    def _depended_on(self, resource: Resource, by: Address) -> Address:
        if id(resource) not in self._primary:
            raise DeclarationError(f"{by} depends on what is not declared: {resource!r}", remedy="declare it too")
        return self._primary[id(resource)]


def _former(name: str, address: Address) -> Address:
    """Read a former name: alone, or with project and domain before it."""
    match name.split("/"):
        case [own]:
            return replace(address, name=own) if address.kind is not Kind.PROJECT else project_address(own)
        case [project, domain, own] if address.kind is not Kind.PROJECT:
            return Address(address.kind, project, domain, own)
        case _:
            raise DeclarationError(
                f"{address}: moved={name!r} is no former name", remedy='write "name" or "project/domain/name"'
            )
