"""The containers of an attempt's pod: the one that a task's command is, or those of a pod that the task brings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform_dataplane.errors import UserError
from flyteform_dataplane.kubernetes.podspecs import spec_of
from flyteform_dataplane.kubernetes.profile import PATIENCE
from flyteform_dataplane.kubernetes.resources import bounded, entries, requirements
from flyteform_dataplane.kubernetes.restrictions import refuse_the_node
from flyteform_dataplane.kubernetes.templates import standing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform_dataplane.kubernetes.profile import Json, PodProfile
    from flyteform_dataplane.ports import PodRequest

# Flyte's name of it among a task's settings.
_PRIMARY_SETTING = "primary_container_name"


def container_of(request: PodRequest, profile: PodProfile, name: str, template: Json) -> Json:
    """Return the container that a task's command is."""
    container, below = request.task.container, standing(template, name, primary=True)
    made: Json = {
        "name": name,
        "image": container.image,
        "command": list(request.command),
        "args": list(request.arguments),
        "env": _variables(_environment(request, profile)),
        "envFrom": _sources(profile),
        "resources": requirements(
            entries(container.resources, profile), profile, request.platform, below.get("resources")
        ),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "imagePullPolicy": profile.image_pull_policy,
    }
    return {key: value for key, value in made.items() if value}


def own_pod(request: PodRequest, profile: PodProfile, template: Json) -> tuple[Json, str]:
    """Return the pod that the task brings, its containers completed with what every task gets, and the primary's name.

    `UserError` where it is none, lacks its primary container, or asks for what is the node's.
    """
    pod, task = request.task.k8s_pod, request.task.id.name
    spec = spec_of(pod.pod_spec, task)
    if not profile.host_access:
        refuse_the_node(spec, task)
    primary = pod.primary_container_name or request.task.config.get(_PRIMARY_SETTING, "")
    containers = spec["containers"]
    names = [container["name"] for container in containers]
    if primary not in names:
        raise UserError(
            f"task {task} names {primary!r} as its primary container, which its pod has not",
            remedy=f"name one of: {', '.join(names)}",
        )
    _complete(spec, primary, request, profile, template)
    return spec, primary


def _complete(spec: Json, primary: str, request: PodRequest, profile: PodProfile, template: Json) -> None:
    """Give all containers resources and variables; not all clusters know limits of the pod as a whole."""
    for field in ("initContainers", "containers"):
        for container in spec.get(field, []):
            main = field == "containers" and container["name"] == primary
            below = standing(template, container["name"], primary=main, field=field).get("resources")
            given = container.get("resources", {})
            container["resources"] = {**given, **requirements(given, profile, request.platform, below)}
            _add_variables(container, _environment(request, profile))
            if sources := _sources(profile):
                container["envFrom"] = [*container.get("envFrom", []), *sources]
            if main:
                _complete_primary(container, request)
    if "resources" in spec:
        spec["resources"] |= bounded(spec["resources"], profile, request.platform.limits)


def _environment(request: PodRequest, profile: PodProfile) -> dict[str, str]:
    """Return what every container gets. As in Flyte the cluster's go before all others.

    Whoever may only launch must not say where the data goes, and with whose rights.
    """
    return {**PATIENCE, **request.environment, **profile.environment}


def _sources(profile: PodProfile) -> list[Json]:
    secrets = [{"secretRef": {"name": name, "optional": True}} for name in profile.env_from_secrets]
    return [*secrets, *({"configMapRef": {"name": name, "optional": True}} for name in profile.env_from_config_maps)]


def _add_variables(container: Json, variables: Mapping[str, str]) -> None:
    """Give a container of a task's own pod what every container gets, in the place of what it says itself."""
    own = [entry for entry in container.get("env", []) if entry["name"] not in variables or entry["name"] in PATIENCE]
    named = {entry["name"] for entry in own}
    container["env"] = [*own, *_variables({key: value for key, value in variables.items() if key not in named})]


def _complete_primary(container: Json, request: PodRequest) -> None:
    for field, texts in (("command", request.command), ("args", request.arguments)):
        if texts:
            container[field] = list(texts)
    container.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")


def _variables(variables: Mapping[str, str]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in variables.items()]
