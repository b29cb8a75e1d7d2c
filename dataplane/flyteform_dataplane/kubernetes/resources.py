"""CPU, memory, GPUs and storage of containers, in Kubernetes' words and by Flyte's rules.

Zero is nothing, as Flyte has it: for Kubernetes a limit of zero is none at all, by which a container would have all of
its node.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flyteidl.core.tasks_pb2 import Resources

from flyteform_dataplane.plugins.resources import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flyteidl.admin.matchable_resource_pb2 import TaskResourceAttributes, TaskResourceSpec

    from flyteform_dataplane.kubernetes.profile import Json, PodProfile

_CPU, _MEMORY, _EPHEMERAL = "cpu", "memory", "ephemeral-storage"
# Thousands of pods ask for the same few amounts.
_amount = lru_cache(1024)(parse_quantity)


def requirements(given: Json, profile: PodProfile, platform: TaskResourceAttributes, below: Json | None = None) -> Json:
    """Return requests and limits of a primary container: `given` are its own, `below` those of its template.

    A half that is missing is the other one; where both are, they are the template's, then the platform's defaults, then
    the profile's. None is above the platform's limit, and no request above the container's.
    """
    requests, limits = _amounts(given, "requests"), _amounts(given, "limits")
    under = _filled(below or {})
    defaults = {_CPU: profile.cpu, _MEMORY: profile.memory} | _named(platform.defaults, profile)
    for name in (_CPU, _MEMORY, *(under["requests"].keys() - {_CPU, _MEMORY})):
        if name not in requests and name not in limits:
            requests[name] = under["requests"].get(name) or defaults[name]
            limits[name] = under["limits"].get(name, requests[name])
    return bounded({"requests": requests, "limits": limits}, profile, platform.limits)


def bounded(given: Json, profile: PodProfile, most: TaskResourceSpec) -> Json:
    """Return requests and limits, each half from the other where it is missing, none above the platform's limit."""
    amounts = _filled(given)
    requests, limits = amounts["requests"], amounts["limits"]
    for name, limit in _named(most, profile).items():
        for side in (requests, limits):
            if name in side:
                side[name] = _least(side[name], limit)
    for name in _known(profile) & limits.keys():
        requests[name] = _least(requests[name], limits[name])
    return amounts


def entries(resources: Resources, profile: PodProfile) -> Json:
    """Return what Flyte's entries say in Kubernetes' words."""
    names = {
        Resources.CPU: _CPU,
        Resources.MEMORY: _MEMORY,
        Resources.GPU: profile.accelerators.resource,
        Resources.STORAGE: _EPHEMERAL,
        Resources.EPHEMERAL_STORAGE: _EPHEMERAL,
    }

    def named(given: Iterable[Resources.ResourceEntry]) -> dict[str, str]:
        return {names[entry.name]: entry.value for entry in given if entry.name in names}

    return {"requests": named(resources.requests), "limits": named(resources.limits)}


def _filled(given: Json) -> dict[str, dict[str, str]]:
    requests, limits = _amounts(given, "requests"), _amounts(given, "limits")
    return {"requests": limits | requests, "limits": requests | limits}


def _amounts(given: Json, side: str) -> dict[str, str]:
    """Return the amounts that are some; in a pod that a task brings they may be numbers."""
    amounts: Mapping[str, Any] = given.get(side) or {}
    return {name: str(value) for name, value in amounts.items() if not _is_nothing(name, value)}


def _is_nothing(name: str, value: Any) -> bool:
    return value in ("", None) or (name in (_CPU, _MEMORY, _EPHEMERAL) and _amount(str(value)) == 0)


def _known(profile: PodProfile) -> set[str]:
    return {_CPU, _MEMORY, _EPHEMERAL, profile.accelerators.resource}


def _named(spec: TaskResourceSpec, profile: PodProfile) -> dict[str, str]:
    """Return what the platform says; nothing and zero are no limit, and no default."""
    named = {
        _CPU: spec.cpu,
        _MEMORY: spec.memory,
        _EPHEMERAL: spec.ephemeral_storage,
        profile.accelerators.resource: spec.gpu,
    }
    return {name: value for name, value in named.items() if value and _amount(value)}


def _least(one: str, other: str) -> str:
    return other if _amount(one) > _amount(other) else one
