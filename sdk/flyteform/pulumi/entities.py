"""Tasks, workflows and launch plans as resources."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pulumi
from flyteform import provision
from flyteform.errors import DefinitionError
from flyteform.provision.model import Kind
from flyteform.pulumi.base import (
    Versioned,
    calls_of,
    declare_parts,
    has_outputs,
    parts_with_image,
    place_of,
    split,
    with_image_in,
)
from flyteform.pulumi.declaring import IMAGE, Part, default_image, parts_of, with_outputs
from flyteform.pulumi.kinds import LAUNCH_PLAN, TASK, WORKFLOW

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flyteform import authoring
    from flyteform.provision.resources import Concurrency, Notification, QualityOfService
    from flyteform.pulumi.base import Project, Texts


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
        description: str | None = None,
        name: pulumi.Input[str] | None = None,
        spec: pulumi.Input[Mapping[str, Any]] | None = None,
        code: pulumi.Input[Texts] | None = None,
        bundle: pulumi.Input[str] | None = None,
        version: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare a task."""
        place = place_of(project, domain, opts)
        properties: dict[str, Any] = {"name": name, "spec": spec, "code": code, "bundle": bundle, "version": version}
        follow: Sequence[Part] = ()
        if entity is not None:
            parts = parts_with_image(provision.Task(entity, description=description), image)
            called, own, follow = split(parts, Kind.TASK)
            declare_parts(resource_name, called, place, opts)
            properties |= {"name": own.name, **own.properties}
        self._declare(resource_name, place, properties, opts)
        declare_parts(resource_name, follow, place, opts)


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
        description: str | None = None,
        name: pulumi.Input[str] | None = None,
        spec: pulumi.Input[Mapping[str, Any]] | None = None,
        calls: pulumi.Input[Texts] | None = None,
        version: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare a workflow."""
        place = place_of(project, domain, opts)
        self.entity, self.image = entity, image
        properties: dict[str, Any] = {"name": name, "spec": spec, "calls": calls, "version": version}
        follow: Sequence[Part] = ()
        if entity is not None:
            parts = parts_with_image(provision.Workflow(entity, description=description), image)
            called, own, follow = split(parts, Kind.WORKFLOW)
            declare_parts(resource_name, called, place, opts)
            properties |= {"name": own.name, **own.properties, "calls": calls_of(own, place)}
        self._declare(resource_name, place, properties, opts)
        kept = [part for part in follow if launch_plan or part.kind is not Kind.LAUNCH_PLAN]
        declare_parts(resource_name, kept, place, opts)


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
        description: str | None = None,
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
        place = place_of(project, domain, opts, entity.place if isinstance(entity, Workflow) else None)
        properties: dict[str, Any] = {"name": name, "spec": spec, "calls": calls, "version": version}
        properties |= {"active": True if active is None else active, "default": default}
        follow: Sequence[Part] = ()
        if entity is not None:
            options = {
                "default_inputs": default_inputs,
                "fixed_inputs": fixed_inputs,
                "schedule": schedule,
                "notifications": notifications,
                "concurrency": concurrency,
                "description": description,
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
            called, own, follow = _launch_plan(entity, name, given, shared)
            declare_parts(resource_name, called, place, opts)
            properties |= {"name": own.name, **own.properties, "calls": calls_of(own, place)}
            properties["active"] = True if active is None else active
        self._declare(resource_name, place, properties, opts)
        declare_parts(resource_name, follow, place, opts)

    @property
    def active_version(self) -> pulumi.Output[str]:
        """The version that is active, empty if none is."""
        version: pulumi.Output[str] = self.__dict__["activeVersion"]
        return version


# Options that are texts, and those that hold texts: outputs among them are known later just where they stand.
_TEXTS = frozenset({"raw_output_prefix", "service_account", "iam_role", "cluster_pool"})
_MAPS = frozenset({"labels", "annotations", "environment", "default_inputs", "fixed_inputs"})
_KNOWN = frozenset({"concurrency", "description"})


def _launch_plan(
    entity: Any, name: str | None, options: Mapping[str, Any], image: pulumi.Input[str]
) -> tuple[Sequence[Part], Part, Sequence[Part]]:
    """Return what a launch plan calls, itself, and what follows it; outputs among its options stay outputs."""
    definition = entity.entity if isinstance(entity, Workflow) else entity
    text = image if isinstance(image, str) else IMAGE

    def made(known: Mapping[str, Any]) -> tuple[Sequence[Part], Part, Sequence[Part]]:
        parts = parts_of(provision.LaunchPlan(definition, name=name, **known), text)
        return split(with_image_in(parts, image), Kind.LAUNCH_PLAN)

    replaced, outputs = _placeholders(options)
    if not has_outputs(replaced):
        try:
            called, own, follow = made(replaced)
        except DefinitionError:
            if not outputs:
                raise
        else:
            return called, replace(own, properties=with_outputs(own.properties, outputs)), follow
    # An output that is no text: all of the spec is known only with it.
    called, own, follow = made({key: each for key, each in options.items() if key in _KNOWN})
    later = pulumi.Output.from_input(dict(options)).apply(lambda known: made(known)[1].properties)
    found = {"spec": later.apply(lambda each: each["spec"]), "default": later.apply(lambda each: each.get("default"))}
    return called, replace(own, properties=found), follow


def _placeholders(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, pulumi.Output[Any]]]:
    """Return the options with placeholders for outputs that may be texts, and what each stands for."""
    outputs: dict[str, pulumi.Output[Any]] = {}

    def replaced(value: Any) -> Any:
        if not isinstance(value, pulumi.Output):
            return value
        outputs[f"@flyteform-output-{len(outputs)}@"] = value
        return next(reversed(outputs))

    found: dict[str, Any] = {}
    for key, value in options.items():
        if key in _MAPS and isinstance(value, dict):
            found[key] = {name: replaced(each) for name, each in value.items()}
        else:
            found[key] = replaced(value) if key in _TEXTS else value
    return found, outputs
