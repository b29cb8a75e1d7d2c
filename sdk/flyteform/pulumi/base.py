"""What the classes of resources share: their place, what they imply, and the platform."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import pulumi
from flyteform.errors import DefinitionError
from flyteform.provision.model import Kind
from flyteform.pulumi.declaring import IMAGE, Part, default_image, parts_of, with_outputs
from flyteform.pulumi.kinds import PACKAGE, PROJECT, ResourceType
from flyteform.pulumi.options import inherited, with_version
from flyteform.pulumi.places import Place, Registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flyteform import provision

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
        _projects.add(place_of(self, None, opts), Kind.PROJECT, "", self)


_classes: dict[Kind, type[Placed]] = {}


class Placed(pulumi.CustomResource):
    """What all but projects have: a place and a name in it."""

    project: pulumi.Output[str]
    domain: pulumi.Output[str]
    name: pulumi.Output[str]
    state: pulumi.Output[str]

    described: ClassVar[ResourceType]
    place: Place

    def __init_subclass__(cls) -> None:
        """Note which class stands for which kind."""
        if described := vars(cls).get("described"):
            _classes[described.kind] = cls

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


class Versioned(Placed):
    """What a task, a workflow and a launch plan have."""

    version: pulumi.Output[str]


_projects: Registry[Project] = Registry()
_registry: Registry[Placed] = Registry()


def split(parts: Sequence[Part], kind: Kind) -> tuple[Sequence[Part], Part, Sequence[Part]]:
    """Take a declaration apart: what its own entity, the last of this kind, calls, itself, and what follows it."""
    at = max((index for index, part in enumerate(parts) if part.kind is kind), default=None)
    if at is None:
        raise DefinitionError(
            f"this {kind.label} is registered in another way", remedy="import it, or refer to it by name and version"
        )
    own = parts[at]
    called = [part for part in parts[:at] if not part.after]
    return called, own, [part for part in parts if part is not own and part not in called]


def has_outputs(value: Any) -> bool:
    """Tell whether any part of a value is another resource's output."""
    match value:
        case pulumi.Output():
            return True
        case dict():
            return any(map(has_outputs, value.values()))
        case list() | tuple():
            return any(map(has_outputs, value))
        case _:
            return False


def place_of(
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


def parts_with_image(declared: provision.Resource, image: pulumi.Input[str] | None) -> tuple[Part, ...]:
    """Return what a declaration consists of, with the image of tasks that name none."""
    chosen = image or default_image()
    return with_image_in(parts_of(declared, chosen if isinstance(chosen, str) else IMAGE), chosen)


def with_image_in(parts: tuple[Part, ...], image: pulumi.Input[str]) -> tuple[Part, ...]:
    """Put in an image that is known later."""
    if isinstance(image, str):
        return parts
    return tuple(replace(part, properties=with_outputs(part.properties, {IMAGE: image})) for part in parts)


def calls_of(part: Part, place: Place) -> dict[str, pulumi.Input[str]]:
    """Return the versions of what is called: outputs of its resources, where the program has them."""
    calls: dict[str, pulumi.Input[str]] = {}
    for key, version in part.calls.items():
        kind, _, name = key.partition(":")
        found = _registry.find(place, Kind(kind), name)
        calls[key] = found.version if isinstance(found, Versioned) else version
    return calls


def declare_parts(owner: str, parts: Sequence[Part], place: Place, opts: pulumi.ResourceOptions | None) -> None:
    """Declare what a resource implies, unless the program has it already."""
    for part in parts:
        if _registry.find(place, part.kind, part.name) is None:
            properties = {"name": part.name, **part.properties}
            if part.calls:
                properties["calls"] = calls_of(part, place)
            chosen = inherited(opts)
            owners = filter(None, (_registry.find(place, *each) for each in part.after))
            chosen = pulumi.ResourceOptions.merge(chosen, pulumi.ResourceOptions(depends_on=list(owners)))
            _classes[part.kind].implied(place.name_of(owner, part.name), place, properties, chosen)
