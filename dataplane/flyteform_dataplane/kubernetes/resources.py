"""CPU, memory, GPUs and storage of a task's container, in Kubernetes' words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core.tasks_pb2 import Resources

from flyteform_dataplane.plugins.resources import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteform_dataplane.kubernetes.profile import Json, PodProfile

_CPU, _MEMORY, _EPHEMERAL = "cpu", "memory", "ephemeral-storage"


def requirements(resources: Resources, profile: PodProfile) -> Json:
    """Return requests and limits: one that is missing is the other, and both missing are the profile's.

    A request above its limit is brought down to it, as a pod that asks for more than it may have is refused.
    """
    requests, limits = (_named(entries, profile) for entries in (resources.requests, resources.limits))
    for name, default in ((_CPU, profile.cpu), (_MEMORY, profile.memory)):
        requests.setdefault(name, limits.get(name, default))
        limits.setdefault(name, requests[name])
    for name in (profile.accelerators.resource, _EPHEMERAL):
        if name in requests or name in limits:
            requests.setdefault(name, limits.get(name, ""))
            limits.setdefault(name, requests[name])
    for name, limit in limits.items():
        if parse_quantity(requests[name]) > parse_quantity(limit):
            requests[name] = limit
    return {"requests": requests, "limits": limits}


def _named(entries: Iterable[Resources.ResourceEntry], profile: PodProfile) -> dict[str, str]:
    names = {
        Resources.CPU: _CPU,
        Resources.MEMORY: _MEMORY,
        Resources.GPU: profile.accelerators.resource,
        Resources.STORAGE: _EPHEMERAL,
        Resources.EPHEMERAL_STORAGE: _EPHEMERAL,
    }
    return {names[entry.name]: entry.value for entry in entries if entry.name in names and entry.value}
