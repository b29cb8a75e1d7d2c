"""Settings, metadata and policies as resources."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import pulumi
from flyteform.pulumi.base import Placed, has_outputs, place_of
from flyteform.pulumi.declaring import settings_spec
from flyteform.pulumi.kinds import METADATA, POLICY, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform.provision.resources import SettingsValue
    from flyteform.pulumi.base import Project


class Settings(Placed):
    """One kind of settings of a project, of one domain of it (`domain`), or of one workflow in that (`workflow`).

    `value` is one of flyteform.provision's settings (TaskResources, ExecutionSettings, …); its fields may hold outputs
    of other resources. What `pulumi import` writes gives `name` and `spec` in its place.
    """

    described = SETTINGS

    def __init__(
        self,
        resource_name: str,
        value: SettingsValue | None = None,
        *,
        project: Project | pulumi.Input[str] | None = None,
        domain: pulumi.Input[str] | None = None,
        workflow: str | None = None,
        name: pulumi.Input[str] | None = None,
        spec: pulumi.Input[Mapping[str, Any]] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare settings."""
        place = replace(place_of(project, domain, opts), domain=domain or "")
        properties: dict[str, Any] = {"name": name, "spec": spec}
        if value is not None:
            properties["name"] = f"{workflow}/{value.attribute}" if workflow else value.attribute
            properties["spec"] = _settings_spec(value)
        self._declare(resource_name, place, properties, opts)


class Metadata(Placed):
    """What consoles show about the name of a task, workflow or launch plan that is registered in another way.

    `kind` is "task", "workflow" or "launch_plan", `entity` its name. `description` and `archived` are left alone where
    they are not given.
    """

    described = METADATA

    def __init__(  # noqa: PLR0913 - one argument for each property
        self,
        resource_name: str,
        kind: Literal["task", "workflow", "launch_plan"] | None = None,
        entity: str | None = None,
        *,
        project: Project | pulumi.Input[str] | None = None,
        domain: pulumi.Input[str] | None = None,
        description: pulumi.Input[str] | None = None,
        archived: bool | None = None,
        name: pulumi.Input[str] | None = None,
        spec: pulumi.Input[Mapping[str, Any]] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare metadata."""
        properties: dict[str, Any] = {"name": name, "spec": spec}
        if kind is not None:
            state = None if archived is None else "NAMED_ENTITY_ARCHIVED" if archived else "NAMED_ENTITY_ACTIVE"
            said = {"description": description, "state": state}
            properties = {
                "name": f"{kind}/{entity}",
                "spec": {key: each for key, each in said.items() if each is not None},
            }
        self._declare(resource_name, place_of(project, domain, opts), properties, opts)


class Policy(Placed):
    """What a flyteform platform keeps about a launch plan beside Flyte's own message: its concurrency.

    A LaunchPlan declares its own; this class is for what `pulumi import` writes.
    """

    described = POLICY

    def __init__(
        self,
        resource_name: str,
        *,
        project: Project | pulumi.Input[str] | None = None,
        domain: pulumi.Input[str] | None = None,
        name: pulumi.Input[str] | None = None,
        spec: pulumi.Input[Mapping[str, Any]] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare a policy."""
        self._declare(resource_name, place_of(project, domain, opts), {"name": name, "spec": spec}, opts)


def _settings_spec(value: SettingsValue) -> Any:
    """Return settings as JSON, known later where they hold outputs."""
    if not has_outputs(vars(value)):
        return settings_spec(value)
    return pulumi.Output.from_input(dict(vars(value))).apply(lambda known: settings_spec(type(value)(**known)))
