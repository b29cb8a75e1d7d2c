"""Where a pod may run: tolerations, selectors and affinity for spot capacity and for GPUs."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from flyteform_dataplane.kubernetes.podspecs import containers_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteidl.core.tasks_pb2 import GPUAccelerator

    from flyteform_dataplane.kubernetes.profile import Accelerators, Json, PodProfile

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def place(spec: Json, profile: PodProfile, *, interruptible: bool) -> None:
    """Add the cluster's tolerations and selectors to a pod's spec; what the spec says itself goes on to hold."""
    asked = {name for container in containers_in(spec) for name in container["resources"]["requests"]}
    tolerations = [*profile.tolerations]
    for name in sorted(asked & set(profile.resource_tolerations)):
        tolerations += profile.resource_tolerations[name]
    for name in sorted(asked & set(profile.add_tolerations_for_extended_resources)):
        tolerations.append({"key": name, "operator": "Exists", "effect": "NoSchedule"})
    if interruptible:
        tolerations += profile.spot.tolerations
    _extend(spec, "tolerations", tolerations)
    selector = {**profile.node_selector, **spec.get("nodeSelector", {})}
    if interruptible:
        selector |= profile.spot.node_selector
    if selector:
        spec["nodeSelector"] = selector


def attract(spec: Json, profile: PodProfile, *, interruptible: bool) -> None:
    """Require what the cluster does of nodes, of each alternative that the pod or its template names."""
    if profile.affinity is not None:
        spec.setdefault("affinity", copy.deepcopy(profile.affinity))
    requirement = profile.spot.requirement if interruptible else profile.spot.stable_requirement
    if requirement is not None:
        require(spec, [requirement])


def accelerate(spec: Json, accelerator: GPUAccelerator, accelerators: Accelerators) -> None:
    """Keep a pod that asks for GPUs to nodes with the device and the partition that its task wants."""
    if not any(accelerators.resource in _limits(container) for container in spec["containers"]):
        return
    if accelerator.device:
        devices = {name.upper(): label for name, label in accelerators.devices.items()}
        _want(spec, accelerators.device_label, devices.get(accelerator.device.upper(), accelerator.device))
    match accelerator.WhichOneof("partition_size_value"):
        case "partition_size":
            _want(spec, accelerators.partition_label, accelerator.partition_size)
        case "unpartitioned" if accelerator.unpartitioned:
            absent = {"key": accelerators.partition_label, "operator": "DoesNotExist"}
            require(spec, [accelerators.unpartitioned_requirement or absent])
            _extend(spec, "tolerations", filter(None, [accelerators.unpartitioned_toleration]))
        case _:
            pass


def require(spec: Json, requirements: Iterable[Json]) -> None:
    """Add requirements on the node's labels to every alternative that the pod's affinity names."""
    affinity = spec.setdefault("affinity", {}).setdefault("nodeAffinity", {}).setdefault(_REQUIRED, {})
    terms = affinity.setdefault("nodeSelectorTerms", [])
    if not terms:
        terms.append({})
    for term in terms:
        term.setdefault("matchExpressions", []).extend(copy.deepcopy(list(requirements)))


def _limits(container: Json) -> Json:
    found: Json = container.get("resources", {}).get("limits", {})
    return found


def _want(spec: Json, label: str, value: str) -> None:
    require(spec, [{"key": label, "operator": "In", "values": [value]}])
    _extend(spec, "tolerations", [{"key": label, "operator": "Equal", "value": value, "effect": "NoSchedule"}])


def _extend(spec: Json, field: str, entries: Iterable[Json]) -> None:
    added = [copy.deepcopy(entry) for entry in entries]
    if added:
        spec[field] = [*added, *spec.get(field, [])]
