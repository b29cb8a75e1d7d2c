"""What a task's pod looks like."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flyteidl.core.tasks_pb2 import GPUAccelerator, K8sPod, TaskTemplate
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from flyteform_dataplane.errors import UserError
from flyteform_dataplane.kubernetes.pods import pod_of
from flyteform_dataplane.kubernetes.profile import PodProfile, Spot
from support.pods import Json, container_task, request

SPOT_TAINT = {"key": "spot", "operator": "Exists", "effect": "NoSchedule"}
PROFILE = PodProfile()


def main_container(pod: Json) -> Json:
    """Return the first container."""
    return dict(pod["spec"]["containers"][0])


def pod_task(*containers: Json, primary: str = "main") -> TaskTemplate:
    """Return a task that brings its own pod."""
    spec = ParseDict({"containers": list(containers)}, Struct())
    task = TaskTemplate(type="sidecar", k8s_pod=K8sPod(pod_spec=spec, primary_container_name=primary))
    task.id.name = "train"
    return task


def test_a_task_is_one_container() -> None:
    """Command, arguments, environment and image are the task's, and a pod runs once."""
    pod = pod_of(request(service_account="worker"), PROFILE)
    container = main_container(pod)
    assert (container["command"], container["args"]) == (["run"], ["--fast"])
    assert container["image"] == "localhost/python:test"
    assert {"name": "A", "value": "1"} in container["env"]
    assert pod["spec"]["restartPolicy"] == "Never"
    assert pod["spec"]["serviceAccountName"] == "worker"
    assert (pod["metadata"]["namespace"], pod["metadata"]["name"]) == ("flytesnacks-development", "f1-n0-0")
    assert pod["metadata"]["annotations"]["flyteform.dev/attempt"] == "flytesnacks/development/f1/n0/0"


def test_a_pod_is_restricted() -> None:
    """Nothing that restricted pod security refuses: no root, no new privileges, no capabilities, no token."""
    pod = pod_of(request(), PROFILE)
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert main_container(pod)["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not main_container(pod)["securityContext"]["allowPrivilegeEscalation"]
    assert not pod["spec"]["automountServiceAccountToken"]


@pytest.mark.parametrize(
    ("requests", "limits", "expected"),
    [
        ({}, {}, {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}),
        ({"CPU": "2"}, {}, {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}),
        (
            {"MEMORY": "4Gi", "CPU": "1"},
            {"MEMORY": "2Gi", "CPU": "2"},
            {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}},
        ),
        (
            {"GPU": "1", "EPHEMERAL_STORAGE": "10Gi"},
            {},
            {
                "requests": {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "1", "ephemeral-storage": "10Gi"},
                "limits": {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "1", "ephemeral-storage": "10Gi"},
            },
        ),
    ],
)
def test_resources(requests: dict[str, str], limits: dict[str, str], expected: Json) -> None:
    """A missing half is the other one, a missing whole is the cluster's, and no request is above its limit."""
    assert main_container(pod_of(request(container_task(requests, limits)), PROFILE))["resources"] == expected


def test_only_interruptible_attempts_run_on_spot() -> None:
    """Spot capacity is tolerated and required by those that may be interrupted, and kept from the others."""
    required = {"key": "spot", "operator": "In", "values": ["true"]}
    stable = {"key": "spot", "operator": "DoesNotExist"}
    profile = replace(PROFILE, spot=Spot((SPOT_TAINT,), {"pool": "spot"}, required, stable))
    spot = pod_of(request(interruptible=True), profile)["spec"]
    assert spot["tolerations"] == [SPOT_TAINT]
    assert spot["nodeSelector"] == {"pool": "spot"}
    assert _required(spot) == [{"matchExpressions": [required]}]
    calm = pod_of(request(interruptible=False), profile)["spec"]
    assert "tolerations" not in calm
    assert _required(calm) == [{"matchExpressions": [stable]}]


def _required(spec: Json) -> list[Json]:
    affinity = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return list(affinity["nodeSelectorTerms"])


def test_an_accelerator_chooses_its_nodes() -> None:
    """The device and its partition are required of the node, and their taints tolerated."""
    task = container_task({"GPU": "1"})
    task.extended_resources.gpu_accelerator.CopyFrom(GPUAccelerator(device="nvidia-a100", partition_size="1g.5gb"))
    spec = pod_of(request(task), PROFILE)["spec"]
    expressions = {one["key"]: one["values"] for term in _required(spec) for one in term["matchExpressions"]}
    labels = ("k8s.amazonaws.com/accelerator", "k8s.amazonaws.com/gpu-partition-size")
    assert expressions == dict(zip(labels, (["nvidia-a100"], ["1g.5gb"]), strict=True))
    assert {one["key"] for one in spec["tolerations"]} == set(labels)


def test_an_accelerator_without_a_gpu_changes_nothing() -> None:
    """A device is chosen for those that ask for one."""
    task = container_task()
    task.extended_resources.gpu_accelerator.device = "nvidia-a100"
    assert pod_of(request(task), PROFILE) == pod_of(request(), PROFILE)


def test_shared_memory() -> None:
    """A task that asks for shared memory gets it where programs look for it, up to its limit."""
    task = container_task()
    task.extended_resources.shared_memory.size_limit = "2Gi"
    pod = pod_of(request(task), PROFILE)
    (volume,) = pod["spec"]["volumes"]
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": "2Gi"}
    assert {"name": volume["name"], "mountPath": "/dev/shm"} in main_container(pod)["volumeMounts"]  # noqa: S108 - as above


def test_a_template_fills_in_what_the_pod_leaves_open() -> None:
    """The pod's own words win; the template's `default` container is under every one, `primary` under the first."""
    template = {
        "metadata": {"labels": {"team": "a"}},
        "spec": {
            "priorityClassName": "high",
            "containers": [
                {"name": "default", "env": [{"name": "A", "value": "template"}, {"name": "B", "value": "2"}]},
                {"name": "primary", "image": "ignored", "workingDir": "/work"},
                {"name": "logger", "image": "logger:1"},
            ],
        },
    }
    pod = pod_of(request(template=template), PROFILE)
    primary, logger = pod["spec"]["containers"]
    assert primary["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    assert (primary["image"], primary["workingDir"]) == ("localhost/python:test", "/work")
    assert logger["image"] == "logger:1"
    assert pod["spec"]["priorityClassName"] == "high"
    assert pod["metadata"]["labels"]["team"] == "a"


def test_a_pod_task_brings_its_containers() -> None:
    """The primary container runs the task's command with the task's environment, the others are left alone."""
    task = pod_task({"name": "main", "image": "m:1"}, {"name": "proxy", "image": "p:1", "command": ["serve"]})
    primary, proxy = pod_of(request(task), PROFILE)["spec"]["containers"]
    assert primary["command"] == ["run"]
    assert {"name": "A", "value": "1"} in primary["env"]
    assert primary["resources"]["requests"] == {"cpu": "1", "memory": "1Gi"}
    assert proxy["command"] == ["serve"]
    assert "env" not in proxy


def test_a_pod_task_without_its_primary_container_is_refused() -> None:
    """The message names the container and those that there are."""
    with pytest.raises(UserError, match="'nobody' as its primary container") as caught:
        pod_of(request(pod_task({"name": "main", "image": "m:1"}, primary="nobody")), PROFILE)
    assert caught.value.remedy == "name one of: main"


def test_the_same_request_gives_the_same_pod() -> None:
    """Starting an attempt again is no change of its pod, and nothing of the profile is shared with it."""
    first = pod_of(request(), PROFILE)
    first["spec"]["securityContext"]["runAsUser"] = 0
    assert pod_of(request(), PROFILE)["spec"]["securityContext"]["runAsUser"] == 65534
