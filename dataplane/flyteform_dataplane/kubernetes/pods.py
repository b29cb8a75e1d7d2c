"""From one attempt to its pod. Pure: the same request gives the same manifest, so starting it twice starts it once."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from flyteidl.core.tasks_pb2 import Resources

from flyteform_dataplane.errors import UserError
from flyteform_dataplane.kubernetes.copying import add_copying
from flyteform_dataplane.kubernetes.names import label_value, place_of, pod_name
from flyteform_dataplane.kubernetes.podspecs import spec_of
from flyteform_dataplane.kubernetes.profile import PATIENCE
from flyteform_dataplane.kubernetes.resources import requirements
from flyteform_dataplane.kubernetes.scheduling import accelerate, place
from flyteform_dataplane.kubernetes.templates import merged
from flyteform_dataplane.kubernetes.webhook.requests import LABEL, LABEL_VALUE, annotations_of
from flyteform_dataplane.kubernetes.workflows.definition import API_VERSION, KIND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteidl.core.tasks_pb2 import SharedMemory

    from flyteform_dataplane.kubernetes.profile import Json, PodProfile
    from flyteform_dataplane.ports import PodRequest

# Where a pod says which attempt it is: its name may be a hash.
ATTEMPT_ANNOTATION = "flyteform.dev/attempt"
MANAGED_LABEL = "app.kubernetes.io/managed-by"
MANAGER = "flyteform"
# Flyte's labels, by which people find pods.
EXECUTION_LABEL = "execution-id"
PRIMARY_ANNOTATION = "primary_container_name"
_SHARED_MEMORY, _SHARED_MEMORY_PATH = "flyte-shared-memory", "/dev/shm"  # noqa: S108 - where programs look for it


def pod_of(request: PodRequest, profile: PodProfile, template: Json | None = None, owner: str = "") -> Json:
    """Return the manifest; `UserError` where the task's own pod is none.

    `template` is the pod template that the task names, or that all tasks of the cluster get. `owner` is the unique id
    of the resource of the execution: when that is removed, so is the pod.
    """
    task = request.task
    if task.WhichOneof("target") == "k8s_pod":
        spec, primary = _own_pod(request, profile)
    else:
        primary = place_of(request.name)[1]
        spec = {"containers": [_container(request, profile, primary)]}
    primary_init = add_copying(spec, request, profile, primary)
    _set_defaults(spec, request, profile)
    place(spec, profile, interruptible=request.interruptible)
    manifest = {"metadata": _metadata(request, profile, primary), "spec": spec}
    if template is not None:
        manifest = merged(template, manifest, primary, primary_init)
    if owner:
        manifest["metadata"]["ownerReferences"] = [_owner(request.name, owner)]
    extended = task.extended_resources
    if extended.HasField("gpu_accelerator"):
        accelerate(manifest["spec"], extended.gpu_accelerator, profile.accelerators)
    if extended.HasField("shared_memory"):
        _share_memory(manifest["spec"], primary, extended.shared_memory)
    return {"apiVersion": "v1", "kind": "Pod", **manifest}


def _owner(attempt: str, uid: str) -> Json:
    execution = attempt.split("/")[2]
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": pod_name(execution),
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def _container(request: PodRequest, profile: PodProfile, name: str) -> Json:
    container = request.task.container
    made: Json = {
        "name": name,
        "image": container.image,
        "command": list(request.command),
        "args": list(request.arguments),
        "env": _variables({**PATIENCE, **profile.environment, **request.environment}),
        "resources": requirements(container.resources, profile),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": copy.deepcopy(profile.container_security),
    }
    return {key: value for key, value in made.items() if value}


def _own_pod(request: PodRequest, profile: PodProfile) -> tuple[Json, str]:
    """Return the pod that the task brings, its primary container completed with what every task gets."""
    pod = request.task.k8s_pod
    spec = spec_of(pod.pod_spec, request.task.id.name)
    primary = pod.primary_container_name or request.task.config.get(PRIMARY_ANNOTATION, "")
    containers = spec["containers"]
    names = [container["name"] for container in containers]
    if primary not in names:
        raise UserError(
            f"task {request.task.id.name} names {primary!r} as its primary container, which its pod has not",
            remedy=f"name one of: {', '.join(names)}",
        )
    for container in [*spec.get("initContainers", []), *containers]:
        _complete(container, request, profile)
        if container["name"] == primary:
            _complete_primary(container, request, profile)
    return spec, primary


def _complete(container: Json, request: PodRequest, profile: PodProfile) -> None:
    """Give a container of a task's own pod what every container gets: its own words go before it."""
    own = container.get("resources", {})
    limits = {**own.get("requests", {}), **own.get("limits", {})}
    container["resources"] = {"requests": {**limits, **own.get("requests", {})}, "limits": limits}
    container.setdefault("securityContext", copy.deepcopy(profile.container_security))
    named = {entry["name"] for entry in container.get("env", [])}
    variables = {**PATIENCE, **profile.environment, **request.environment}
    added = _variables({key: value for key, value in variables.items() if key not in named})
    container["env"] = [*container.get("env", []), *added]


def _complete_primary(container: Json, request: PodRequest, profile: PodProfile) -> None:
    for kind, amounts in requirements(Resources(), profile).items():
        container["resources"][kind] = {**amounts, **container["resources"][kind]}
    for field, texts in (("command", request.command), ("args", request.arguments)):
        if texts:
            container[field] = list(texts)
    container.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")


def _variables(variables: Mapping[str, str]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in variables.items()]


def _set_defaults(spec: Json, request: PodRequest, profile: PodProfile) -> None:
    spec.setdefault("restartPolicy", "Never")
    spec.setdefault("terminationGracePeriodSeconds", profile.termination_grace_seconds)
    if request.service_account:
        spec.setdefault("serviceAccountName", request.service_account)
    # A task that talks to the API server mounts a token by its own template.
    spec.setdefault("automountServiceAccountToken", bool(request.service_account))
    spec.setdefault("securityContext", copy.deepcopy(profile.pod_security))
    spec.setdefault("enableServiceLinks", False)
    if profile.scheduler:
        spec.setdefault("schedulerName", profile.scheduler)
    if profile.dns is not None:
        spec.setdefault("dnsConfig", copy.deepcopy(profile.dns))
    if profile.host_network:
        spec.setdefault("hostNetwork", True)
    if profile.image_pull_secrets:
        spec.setdefault("imagePullSecrets", [{"name": name} for name in profile.image_pull_secrets])


def _metadata(request: PodRequest, profile: PodProfile, primary: str) -> Json:
    own = request.task.k8s_pod.metadata if request.task.WhichOneof("target") == "k8s_pod" else None
    labels = {**profile.labels, **(own.labels if own is not None else {}), **request.labels, MANAGED_LABEL: MANAGER}
    annotations = {**profile.annotations, **(own.annotations if own is not None else {}), **request.annotations}
    secrets = request.task.security_context.secrets
    if secrets:
        labels[LABEL] = LABEL_VALUE
        annotations |= annotations_of(secrets)
    namespace, name = place_of(request.name)
    metadata: Json = {
        "name": name,
        "namespace": namespace,
        "labels": {key: label_value(value) for key, value in labels.items()},
        "annotations": {**annotations, PRIMARY_ANNOTATION: primary, ATTEMPT_ANNOTATION: request.name},
    }
    if profile.inject_finalizer:
        metadata["finalizers"] = [profile.finalizer]
    return metadata


def _share_memory(spec: Json, primary: str, wanted: SharedMemory) -> None:
    """Give the primary container more than the 64 MiB of /dev/shm that a container has."""
    name, path = wanted.mount_name or _SHARED_MEMORY, wanted.mount_path or _SHARED_MEMORY_PATH
    volume: Json = {"name": name, "emptyDir": {"medium": "Memory"}}
    if wanted.size_limit:
        volume["emptyDir"]["sizeLimit"] = wanted.size_limit
    spec.setdefault("volumes", []).append(volume)
    for container in spec["containers"]:
        if container["name"] == primary:
            container.setdefault("volumeMounts", []).append({"name": name, "mountPath": path})
