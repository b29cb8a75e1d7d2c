"""From one attempt to its pod. Pure: the same request gives the same manifest, so starting it twice starts it once."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from flyteform_dataplane.errors import UserError
from flyteform_dataplane.kubernetes.containers import container_of, own_pod
from flyteform_dataplane.kubernetes.copying import add_copying
from flyteform_dataplane.kubernetes.names import label_value, place_of, pod_name
from flyteform_dataplane.kubernetes.scheduling import accelerate, attract, place
from flyteform_dataplane.kubernetes.security import secure
from flyteform_dataplane.kubernetes.tasklinks import LINKS_ANNOTATION, links_of
from flyteform_dataplane.kubernetes.templates import merged
from flyteform_dataplane.kubernetes.webhook.requests import LABEL, LABEL_VALUE, annotations_of
from flyteform_dataplane.kubernetes.workflows.definition import API_VERSION, KIND
from flyteform_dataplane.sync.resources import RESERVED

if TYPE_CHECKING:
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
_OURS = "flyteform.dev/"
# An API server writes its default into a template that does not say how long programs have to end.
_UNSAID = (None, 30)
_SHARED_MEMORY, _SHARED_MEMORY_PATH = "flyte-shared-memory", "/dev/shm"  # noqa: S108 - where programs look for it


def pod_of(request: PodRequest, profile: PodProfile, template: Json | None = None, owner: str = "") -> Json:
    """Return the manifest; `UserError` where the task's own pod is none.

    `template` is the pod template that the task names, or that all tasks of the cluster get. `owner` is the unique id
    of the resource of the execution: when that is removed, so is the pod.
    """
    task, (namespace, name) = request.task, place_of(request.name)
    if namespace.startswith(RESERVED):
        raise UserError(f"namespace {namespace} is the cluster's own: no project's domain may have it")
    if task.WhichOneof("target") == "k8s_pod":
        spec, primary = own_pod(request, profile, template or {})
    else:
        primary = name
        spec = {"containers": [container_of(request, profile, primary, template or {})]}
    primary_init = add_copying(spec, request, profile, primary)
    _say(spec, request, profile)
    place(spec, profile, interruptible=request.interruptible)
    manifest = {
        "metadata": {"name": name, "namespace": namespace, **_metadata(request, profile, primary)},
        "spec": copy.copy(spec),
    }
    if template is not None:
        manifest = merged(template, manifest, primary, primary_init)
    _fill_in(manifest["spec"], spec, profile)
    attract(manifest["spec"], profile, interruptible=request.interruptible)
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


def _say(spec: Json, request: PodRequest, profile: PodProfile) -> None:
    """Add what goes before a template's words, as in Flyte."""
    spec.setdefault("restartPolicy", "Never")
    if request.service_account:
        spec.setdefault("serviceAccountName", request.service_account)
        spec.setdefault("automountServiceAccountToken", True)
    if profile.scheduler:
        spec.setdefault("schedulerName", profile.scheduler)
    if profile.dns is not None:
        spec.setdefault("dnsConfig", copy.deepcopy(profile.dns))
    if profile.host_network:
        spec.setdefault("hostNetwork", True)
    if profile.image_pull_secrets:
        spec.setdefault("imagePullSecrets", [{"name": name} for name in profile.image_pull_secrets])


def _fill_in(spec: Json, own: Json, profile: PodProfile) -> None:
    """Add what neither the pod, `own`, nor its template says."""
    if "terminationGracePeriodSeconds" not in own and spec.get("terminationGracePeriodSeconds") in _UNSAID:
        spec["terminationGracePeriodSeconds"] = profile.termination_grace_seconds
    # A task that talks to the API server mounts a token by its own template.
    spec.setdefault("automountServiceAccountToken", False)
    spec.setdefault("enableServiceLinks", False)
    secure(spec, own, profile)


def _metadata(request: PodRequest, profile: PodProfile, primary: str) -> Json:
    own = request.task.k8s_pod.metadata  # empty where the task brings none
    labels = {**profile.labels, **own.labels, **request.labels, MANAGED_LABEL: MANAGER}
    # By ours the pod is judged: nobody else says them.
    given = {**own.annotations, **request.annotations}
    annotations = {**profile.annotations, **{key: given[key] for key in given if not key.startswith(_OURS)}}
    secrets = request.task.security_context.secrets
    if secrets:
        labels[LABEL] = LABEL_VALUE
        annotations |= annotations_of(secrets)
    metadata: Json = {
        "labels": {key: label_value(value) for key, value in labels.items()},
        "annotations": {**annotations, PRIMARY_ANNOTATION: primary, ATTEMPT_ANNOTATION: request.name},
    }
    if links := links_of(request.task, profile):
        metadata["annotations"][LINKS_ANNOTATION] = links
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
