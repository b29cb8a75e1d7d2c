"""What a node changes of its task: resources, image, pod and cache, by Flyte's rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core.tasks_pb2 import K8sPod, Resources, TaskTemplate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteidl.core.workflow_pb2 import NodeMetadata, TaskNodeOverrides
    from google.protobuf.struct_pb2 import Struct

_PRIMARY = "primary_container_name"
# How a pod's specification calls what Flyte's entries name.
_NAMES = {
    Resources.CPU: "cpu",
    Resources.MEMORY: "memory",
    Resources.GPU: "nvidia.com/gpu",
    Resources.STORAGE: "ephemeral-storage",
    Resources.EPHEMERAL_STORAGE: "ephemeral-storage",
}


def overridden(template: TaskTemplate, overrides: TaskNodeOverrides, metadata: NodeMetadata) -> TaskTemplate:
    """Return the task as the node has it."""
    task = TaskTemplate()
    task.CopyFrom(template)
    if task.WhichOneof("target") == "container" and overrides.HasField("pod_template"):
        _bring_pod(task, overrides.pod_template)
    if task.WhichOneof("target") == "k8s_pod":
        _override_pod(task, overrides)
    else:
        _override_command(task, overrides)
    for kind in ("gpu_accelerator", "shared_memory"):
        if overrides.extended_resources.HasField(kind):
            getattr(task.extended_resources, kind).CopyFrom(getattr(overrides.extended_resources, kind))
    if metadata.WhichOneof("cacheable_value"):
        task.metadata.discoverable = metadata.cacheable
    if metadata.WhichOneof("cache_version_value"):
        task.metadata.discovery_version = metadata.cache_version
    if metadata.WhichOneof("cache_serializable_value"):
        task.metadata.cache_serializable = metadata.cache_serializable
    return task


def _override_command(task: TaskTemplate, overrides: TaskNodeOverrides) -> None:
    for entries in ("requests", "limits"):
        if given := getattr(overrides.resources, entries):
            _replace_resources(getattr(task.container.resources, entries), given)
    if overrides.container_image:
        task.container.image = overrides.container_image


def _replace_resources(entries: list[object], given: Iterable[object]) -> None:
    by_name = {entry.name: entry for entry in (*entries, *given)}  # type: ignore[attr-defined]
    kept = [by_name[name] for name in sorted(by_name)]
    del entries[:]
    entries.extend(kept)


def _bring_pod(task: TaskTemplate, given: K8sPod) -> None:
    """Give a task that is a command a pod of the node's own, in which whoever registered it has put that command."""
    if "containers" in given.pod_spec.fields:
        copying = task.container.data_config
        task.k8s_pod.CopyFrom(K8sPod(data_config=copying if copying.ByteSize() else None))
    else:
        task.metadata.metadata.labels.update(given.metadata.labels)
        task.metadata.metadata.annotations.update(given.metadata.annotations)


def _override_pod(task: TaskTemplate, overrides: TaskNodeOverrides) -> None:
    """Change the pod that a task brings: another one whole, and what is said of its primary container."""
    pod = task.k8s_pod
    if overrides.HasField("pod_template"):
        _replace_pod(task, overrides.pod_template)
    primary = pod.primary_container_name or task.config.get(_PRIMARY, "")
    if "containers" not in pod.pod_spec.fields:
        return
    for container in pod.pod_spec.fields["containers"].list_value.values:
        if container.struct_value.fields["name"].string_value == primary:
            _override_container(container.struct_value, overrides)


def _replace_pod(task: TaskTemplate, given: K8sPod) -> None:
    pod = task.k8s_pod
    pod.metadata.labels.update(given.metadata.labels)
    pod.metadata.annotations.update(given.metadata.annotations)
    if "containers" in given.pod_spec.fields:
        pod.pod_spec.CopyFrom(given.pod_spec)
        pod.primary_container_name = given.primary_container_name or pod.primary_container_name


def _override_container(container: Struct, overrides: TaskNodeOverrides) -> None:
    if overrides.container_image:
        container.fields["image"].string_value = overrides.container_image
    for kind in ("requests", "limits"):
        for entry in getattr(overrides.resources, kind):
            if entry.name in _NAMES:
                amounts = container.fields["resources"].struct_value.fields[kind].struct_value
                amounts.fields[_NAMES[entry.name]].string_value = entry.value
