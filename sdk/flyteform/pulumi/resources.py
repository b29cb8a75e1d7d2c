"""The resources that Pulumi programs declare."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import pulumi
from flyteform import provision
from flyteform.errors import DefinitionError
from flyteform.provision.model import Kind
from flyteform.pulumi.declaring import IMAGE, Part, default_image, parts_of, with_image
from flyteform.pulumi.kinds import LAUNCH_PLAN, PACKAGE, PROJECT, TASK, WORKFLOW, ResourceType
from flyteform.pulumi.options import inherited, with_version
from flyteform.pulumi.places import Place, Registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flyteform import authoring
    from flyteform.provision.resources import Concurrency, Notification, QualityOfService

    Texts = Mapping[str, pulumi.Input[str]]


class Provider(pulumi.ProviderResource):
    """A platform. What is left out comes from the stack's configuration, then as the flyteform command finds it."""

    def __init__(  # noqa: PLR0913 - one argument for each setting
        self,
        resource_name: str,
        *,
        endpoint: pulumi.Input[str] | None = None,
        insecure: pulumi.Input[bool] | None = None,
        project: pulumi.Input[str] | None = None,
        domain: pulumi.Input[str] | None = None,
        ca_file: pulumi.Input[str] | None = None,
        client_id: pulumi.Input[str] | None = None,
        client_secret: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Name the platform by `endpoint` (HOST:PORT), which may be known only after something else is created."""
        flag = None if insecure is None else pulumi.Output.from_input(insecure).apply(lambda each: str(each).lower())
        properties: dict[str, Any] = {
            "endpoint": endpoint,
            "insecure": flag,
            "project": project,
            "domain": domain,
            "caFile": ca_file,
            "clientId": client_id,
            "clientSecret": None if client_secret is None else pulumi.Output.secret(client_secret),
        }
        super().__init__(PACKAGE, resource_name, properties, with_version(opts))


class Project(pulumi.CustomResource):
    """A project; its id is the resource's name unless `project` says otherwise. What is left out is left alone."""

    project: pulumi.Output[str]
    name: pulumi.Output[str | None]
    description: pulumi.Output[str | None]
    labels: pulumi.Output[Mapping[str, str] | None]
    state: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        project: pulumi.Input[str] | None = None,
        name: pulumi.Input[str] | None = None,
        description: pulumi.Input[str] | None = None,
        labels: pulumi.Input[Texts] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare a project."""
        self.given_id = project or resource_name
        properties: dict[str, Any] = {"project": self.given_id, "name": name, "description": description}
        properties |= {"labels": labels, "state": None}
        super().__init__(PROJECT.token, resource_name, properties, with_version(opts))
        _projects.add(_place(self, None, opts), Kind.PROJECT, "", self)


class Versioned(pulumi.CustomResource):
    """What a task, a workflow and a launch plan have."""

    project: pulumi.Output[str]
    domain: pulumi.Output[str]
    name: pulumi.Output[str]
    version: pulumi.Output[str]
    state: pulumi.Output[str]

    described: ClassVar[ResourceType]
    place: Place

    @classmethod
    def implied(
        cls, resource_name: str, place: Place, properties: Mapping[str, Any], opts: pulumi.ResourceOptions
    ) -> None:
        """Declare what another resource needs."""
        cls.__new__(cls)._declare(resource_name, place, properties, opts)  # noqa: SLF001 - of this very class

    def _declare(
        self,
        resource_name: str,
        place: Place,
        properties: Mapping[str, Any],
        opts: pulumi.ResourceOptions | None,
    ) -> None:
        """Register the resource with the engine."""
        self.place, described = place, self.described
        name = properties["name"]
        known = _registry.find(place, described.kind, name) if isinstance(name, str) else None
        if known is not None:
            raise DefinitionError(
                f"{resource_name}: {described.kind.label} {name} is declared already",
                remedy="declare it before what calls it; for a default launch plan give its Workflow launch_plan=False",
            )
        if name is None or properties.get("spec") is None:
            raise DefinitionError(
                f"{resource_name}: an entity is missing", remedy="give a definition, or name and spec"
            )
        outputs = dict.fromkeys(described.outputs)
        place_given = {"project": place.project_id, "domain": place.domain}
        chosen = pulumi.ResourceOptions.merge(pulumi.ResourceOptions(provider=place.provider), opts)
        pulumi.CustomResource.__init__(
            self, described.token, resource_name, {**outputs, **place_given, **properties}, with_version(chosen)
        )
        if isinstance(name, str):
            _registry.add(place, described.kind, name, self)


_projects: Registry[Project] = Registry()
_registry: Registry[Versioned] = Registry()


class Task(Versioned):
    """A task of this SDK or of flytekit.

    `image` is for tasks that name none, and may be another resource's output. What `pulumi import` writes gives
    `name`, `spec` and `version` in place of a definition.
    """

    described = TASK

    def __init__(  # noqa: PLR0913 - one argument for each property
        self,
        resource_name: str,
        entity: authoring.PythonTask | authoring.MapTask | Any | None = None,
        *,
        project: Project | pulumi.Input[str] | None = None,
        domain: pulumi.Input[str] | None = None,
        image: pulumi.Input[str] | None = None,
        name: pulumi.Input[str] | None = None,
        spec: pulumi.Input[Mapping[str, Any]] | None = None,
        code: pulumi.Input[Texts] | None = None,
        bundle: pulumi.Input[str] | None = None,
        version: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare a task."""
        place = _place(project, domain, opts)
        properties: dict[str, Any] = {"name": name, "spec": spec, "code": code, "bundle": bundle, "version": version}
        if entity is not None:
            part = _parts(provision.Task(entity), image)[-1]
            properties |= {"name": part.name, **part.properties}
        self._declare(resource_name, place, properties, opts)


class Workflow(Versioned):
    """A workflow of this SDK or of flytekit, with all that it calls, each a resource of its own.

    Several workflows share what they call; declare a task before them to choose its name and options. With
    `launch_plan` the workflow's default launch plan is declared too, active.
    """

    described = WORKFLOW
    entity: Any = None
    image: pulumi.Input[str] | None = None

    def __init__(  # noqa: PLR0913 - one argument for each property
        self,
        resource_name: str,
        entity: authoring.Workflow | Any | None = None,
        *,
        project: Project | pulumi.Input[str] | None = None,
        domain: pulumi.Input[str] | None = None,
        image: pulumi.Input[str] | None = None,
        launch_plan: bool = True,
        name: pulumi.Input[str] | None = None,
        spec: pulumi.Input[Mapping[str, Any]] | None = None,
        calls: pulumi.Input[Texts] | None = None,
        version: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare a workflow."""
        place = _place(project, domain, opts)
        self.entity, self.image = entity, image
        properties: dict[str, Any] = {"name": name, "spec": spec, "calls": calls, "version": version}
        parts: tuple[Part, ...] = ()
        if entity is not None:
            parts = _parts(provision.Workflow(entity), image)
            own = next(part for part in reversed(parts) if part.kind is Kind.WORKFLOW)
            called = parts[: parts.index(own)]
            parts = parts[len(called) + 1 :] if launch_plan else ()
            _declare_parts(resource_name, called, place, opts)
            properties |= {"name": own.name, **own.properties, "calls": _calls(own, place)}
        self._declare(resource_name, place, properties, opts)
        _declare_parts(resource_name, parts, place, opts)


class LaunchPlan(Versioned):
    """A launch plan with its workflow and all that this calls.

    `entity` is a launch plan of this SDK or of flytekit, or a workflow, also as a resource, whose place it then shares.
    Inputs, labels and the like may hold outputs of other resources. `active` makes the declared version the active
    one, whose schedule fires; False keeps every version inactive.
    """

    described = LAUNCH_PLAN

    active: pulumi.Output[bool]

    def __init__(  # noqa: PLR0913 - one argument for each thing that a launch plan says
        self,
        resource_name: str,
        entity: authoring.LaunchPlan | authoring.Workflow | Workflow | Any | None = None,
        *,
        project: Project | pulumi.Input[str] | None = None,
        domain: pulumi.Input[str] | None = None,
        image: pulumi.Input[str] | None = None,
        active: pulumi.Input[bool] | None = None,
        name: str | None = None,
        default_inputs: Mapping[str, Any] | None = None,
        fixed_inputs: Mapping[str, Any] | None = None,
        schedule: authoring.Schedule | None = None,
        notifications: Sequence[Notification] | None = None,
        concurrency: Concurrency | None = None,
        labels: pulumi.Input[Texts] | None = None,
        annotations: pulumi.Input[Texts] | None = None,
        environment: pulumi.Input[Texts] | None = None,
        max_parallelism: pulumi.Input[int] | None = None,
        raw_output_prefix: pulumi.Input[str] | None = None,
        service_account: pulumi.Input[str] | None = None,
        iam_role: pulumi.Input[str] | None = None,
        interruptible: pulumi.Input[bool] | None = None,
        overwrite_cache: bool | None = None,
        quality_of_service: QualityOfService | None = None,
        cluster_pool: pulumi.Input[str] | None = None,
        spec: pulumi.Input[Mapping[str, Any]] | None = None,
        calls: pulumi.Input[Texts] | None = None,
        default: pulumi.Input[bool] | None = None,
        version: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare a launch plan."""
        place = _place(project, domain, opts, entity.place if isinstance(entity, Workflow) else None)
        properties: dict[str, Any] = {"name": name, "spec": spec, "calls": calls, "version": version}
        properties |= {"active": True if active is None else active, "default": default}
        if entity is not None:
            options = {
                "default_inputs": default_inputs,
                "fixed_inputs": fixed_inputs,
                "schedule": schedule,
                "notifications": notifications,
                "concurrency": concurrency,
                "labels": labels,
                "annotations": annotations,
                "environment": environment,
                "max_parallelism": max_parallelism,
                "raw_output_prefix": raw_output_prefix,
                "service_account": service_account,
                "iam_role": iam_role,
                "interruptible": interruptible,
                "overwrite_cache": overwrite_cache,
                "quality_of_service": quality_of_service,
                "cluster_pool": cluster_pool,
            }
            given = {key: each for key, each in options.items() if each is not None}
            shared = image or (entity.image if isinstance(entity, Workflow) else None) or default_image()
            called, own = _launch_plan(entity, name, given, shared)
            _declare_parts(resource_name, called, place, opts)
            properties |= {"name": own.name, **own.properties, "calls": _calls(own, place)}
            properties["active"] = True if active is None else active
        self._declare(resource_name, place, properties, opts)

    @property
    def active_version(self) -> pulumi.Output[str]:
        """The version that is active, empty if none is."""
        version: pulumi.Output[str] = self.__dict__["activeVersion"]
        return version


def _launch_plan(
    entity: Any, name: str | None, options: Mapping[str, Any], image: pulumi.Input[str]
) -> tuple[tuple[Part, ...], Part]:
    """Return what a launch plan calls, and itself; where options are known later, its spec is too."""
    definition = entity.entity if isinstance(entity, Workflow) else entity
    text = image if isinstance(image, str) else IMAGE
    later = _has_outputs(options)
    parts = parts_of(provision.LaunchPlan(definition, name=name, **({} if later else options)), text)
    own = next(part for part in reversed(parts) if part.kind is Kind.LAUNCH_PLAN)
    called = _with_image(tuple(part for part in parts if part is not own), image)
    if not later:
        return called, own

    def properties(known: Mapping[str, Any]) -> Mapping[str, Any]:
        made = parts_of(provision.LaunchPlan(definition, name=name, **known), text)
        return next(part for part in reversed(made) if part.kind is Kind.LAUNCH_PLAN).properties

    made = pulumi.Output.from_input(dict(options)).apply(properties)
    found = {"spec": made.apply(lambda each: each["spec"]), "default": made.apply(lambda each: each.get("default"))}
    return called, Part(own.kind, own.name, found, own.calls)


def _has_outputs(value: Any) -> bool:
    match value:
        case pulumi.Output():
            return True
        case dict():
            return any(map(_has_outputs, value.values()))
        case list() | tuple():
            return any(map(_has_outputs, value))
        case _:
            return False


def _place(
    project: Project | pulumi.Input[str] | None,
    domain: pulumi.Input[str] | None,
    opts: pulumi.ResourceOptions | None,
    shared: Place | None = None,
) -> Place:
    """Return where a resource goes; a project that the program declares is depended on, however it is named."""
    shared = shared or Place()
    provider = (opts.provider if opts is not None else None) or shared.provider
    if project is None and domain is None:
        return replace(shared, provider=provider)
    given = project.given_id if isinstance(project, Project) else project or shared.project
    declared = project if isinstance(project, Project) else _projects.find(Place(provider, given), Kind.PROJECT, "")
    return Place(provider, given, domain or shared.domain, given if declared is None else declared.project)


def _parts(declared: provision.Resource, image: pulumi.Input[str] | None) -> tuple[Part, ...]:
    chosen = image or default_image()
    return _with_image(parts_of(declared, chosen if isinstance(chosen, str) else IMAGE), chosen)


def _with_image(parts: tuple[Part, ...], image: pulumi.Input[str]) -> tuple[Part, ...]:
    """Put in an image that is known later."""
    if isinstance(image, str):
        return parts
    return tuple(replace(part, properties=with_image(part.properties, image)) for part in parts)


def _calls(part: Part, place: Place) -> dict[str, pulumi.Input[str]]:
    """Return the versions of what is called: outputs of its resources, where the program has them."""
    calls: dict[str, pulumi.Input[str]] = {}
    for key, version in part.calls.items():
        kind, _, name = key.partition(":")
        found = _registry.find(place, Kind(kind), name)
        calls[key] = version if found is None else found.version
    return calls


def _declare_parts(owner: str, parts: Sequence[Part], place: Place, opts: pulumi.ResourceOptions | None) -> None:
    """Declare what a resource implies, unless the program has it already."""
    for part in parts:
        if _registry.find(place, part.kind, part.name) is None:
            properties = {"name": part.name, **part.properties}
            if part.calls:
                properties["calls"] = _calls(part, place)
            _CLASSES[part.kind].implied(place.name_of(owner, part.name), place, properties, inherited(opts))


_CLASSES: Mapping[Kind, type[Versioned]] = {Kind.TASK: Task, Kind.WORKFLOW: Workflow, Kind.LAUNCH_PLAN: LaunchPlan}
