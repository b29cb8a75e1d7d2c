"""What a task's pod looks like."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import kubernetes_validate
import pytest
from flyteidl.core.security_pb2 import Secret
from flyteidl.core.tasks_pb2 import DataLoadingConfig, GPUAccelerator, IOStrategy, K8sPod, SharedMemory, TaskTemplate
from flyteidl.core.types_pb2 import SimpleType
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from flyteform_dataplane.copilot.plans import parse
from flyteform_dataplane.errors import UserError
from flyteform_dataplane.kubernetes.pods import pod_of
from flyteform_dataplane.kubernetes.profile import Accelerators, Copilot, PodProfile, Spot
from flyteform_dataplane.kubernetes.webhook.requests import secrets_of
from flyteform_dataplane.ports import Copying
from support.pods import Json, container_task, request

if TYPE_CHECKING:
    from flyteform_dataplane.ports import PodRequest

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


def test_the_clusters_variables_are_not_others_to_say() -> None:
    """Where data goes, and with whose rights: neither the task nor who launches it, nor a container of its pod."""
    profile = replace(PROFILE, environment={"AWS_ENDPOINT_URL": "https://ours", "TZ": "UTC"})
    evil = {"name": "AWS_ENDPOINT_URL", "value": "https://evil"}
    claims = {"name": "FLYTE_INTERNAL_EXECUTION_ID", "value": "other"}
    patience = {"name": "FLYTEFORM_STORE_PATIENCE", "value": "5"}
    own = pod_task({"name": "main", "image": "m:1", "env": [evil, claims, patience, {"name": "B", "value": "2"}]})
    given = {"AWS_ENDPOINT_URL": "https://evil", "FLYTE_INTERNAL_EXECUTION_ID": "f1", "C": "3"}
    for task in (container_task(), own):
        entries = main_container(pod_of(request(task, environment=given), profile))["env"]
        found = {one["name"]: one["value"] for one in entries}
        assert len(found) == len(entries)
        assert (found["AWS_ENDPOINT_URL"], found["FLYTE_INTERNAL_EXECUTION_ID"]) == ("https://ours", "f1")
        assert (found["TZ"], found["C"]) == ("UTC", "3")
    assert (found["B"], found["FLYTEFORM_STORE_PATIENCE"]) == ("2", "5")


def test_variables_come_from_secrets_and_configmaps_of_the_cluster() -> None:
    """Whole ones of the task's namespace, after those that a container names; it starts where there is none."""
    profile = replace(PROFILE, env_from_secrets=("keys",), env_from_config_maps=("places",))
    ours = [
        {"secretRef": {"name": "keys", "optional": True}},
        {"configMapRef": {"name": "places", "optional": True}},
    ]
    assert main_container(pod_of(request(), profile))["envFrom"] == ours
    theirs = {"secretRef": {"name": "theirs"}}
    own = pod_task({"name": "main", "image": "m:1", "envFrom": [theirs]})
    assert main_container(pod_of(request(own), profile))["envFrom"] == [theirs, *ours]
    assert "envFrom" not in main_container(pod_of(request(), PROFILE))


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


@pytest.mark.parametrize(
    ("asked", "label"), [("a100", "NVIDIA-A100-40GB"), ("A100", "NVIDIA-A100-40GB"), ("l4", "nvidia-l4"), ("T4", "T4")]
)
def test_devices_have_names_of_the_clusters_own(asked: str, label: str) -> None:
    """In any case; one that the cluster does not name is the label's value itself."""
    accelerators = Accelerators(devices={"a100": "NVIDIA-A100-40GB", "L4": "nvidia-l4"})
    task = container_task({"GPU": "1"})
    task.extended_resources.gpu_accelerator.device = asked
    spec = pod_of(request(task), replace(PROFILE, accelerators=accelerators))["spec"]
    assert _required(spec)[0]["matchExpressions"][0]["values"] == [label]


UNPARTITIONED = {"key": "k8s.amazonaws.com/gpu-partition-size", "operator": "DoesNotExist"}
WHOLE = {"key": "whole", "operator": "Exists"}


@pytest.mark.parametrize(
    ("accelerators", "requirement", "tolerations"),
    [
        (Accelerators(), UNPARTITIONED, None),
        (Accelerators(unpartitioned_requirement=WHOLE, unpartitioned_toleration=SPOT_TAINT), WHOLE, [SPOT_TAINT]),
    ],
)
def test_a_whole_device(accelerators: Accelerators, requirement: Json, tolerations: list[Json] | None) -> None:
    """Nodes whose devices are not partitioned, by the absence of Flyte's label or as the cluster says."""
    task = container_task({"GPU": "1"})
    task.extended_resources.gpu_accelerator.unpartitioned = True
    spec = pod_of(request(task), replace(PROFILE, accelerators=accelerators))["spec"]
    assert _required(spec) == [{"matchExpressions": [requirement]}]
    assert spec.get("tolerations") == tolerations
    task.extended_resources.gpu_accelerator.unpartitioned = False
    assert "affinity" not in pod_of(request(task), PROFILE)["spec"]


def test_a_resource_may_stand_for_the_taint_of_its_nodes() -> None:
    """Only who asks for it tolerates that; tolerations of the cluster's own words are beside it."""
    profile = replace(
        PROFILE,
        add_tolerations_for_extended_resources=("nvidia.com/gpu", "example.com/other"),
        resource_tolerations={"nvidia.com/gpu": (SPOT_TAINT,)},
    )
    spec = pod_of(request(container_task({"GPU": "1"})), profile)["spec"]
    taint = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    assert spec["tolerations"] == [SPOT_TAINT, taint]
    first = {"name": "first", "image": "f:1", "resources": {"limits": {"nvidia.com/gpu": 1}}}
    task = pod_task({"name": "main", "image": "m:1"})
    task.k8s_pod.pod_spec.update({"initContainers": [first]})
    assert pod_of(request(task), profile)["spec"]["tolerations"] == [SPOT_TAINT, taint]
    assert "tolerations" not in pod_of(request(), profile)["spec"]


@pytest.mark.parametrize("policy", ["Always", ""])
def test_when_images_are_pulled(policy: Literal["", "Always"]) -> None:
    """As the cluster says, or as Kubernetes does by the image's tag."""
    container = main_container(pod_of(request(), replace(PROFILE, image_pull_policy=policy)))
    assert container.get("imagePullPolicy", "") == policy


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


def test_shared_memory_lies_where_the_task_says() -> None:
    """Name and place of the volume are the task's, if it names them."""
    task = container_task()
    task.extended_resources.shared_memory.CopyFrom(SharedMemory(mount_name="fast", mount_path="/fast"))
    pod = pod_of(request(task), PROFILE)
    assert pod["spec"]["volumes"] == [{"name": "fast", "emptyDir": {"medium": "Memory"}}]
    assert main_container(pod)["volumeMounts"] == [{"name": "fast", "mountPath": "/fast"}]


def test_secrets_are_asked_for() -> None:
    """A label has the webhook look at the pod, and annotations say what the task wants."""
    task = container_task()
    wanted = Secret(group="db", key="Password", mount_requirement=Secret.ENV_VAR, env_var="DB")
    task.security_context.secrets.append(wanted)
    metadata = pod_of(request(task), PROFILE)["metadata"]
    assert metadata["labels"]["inject-flyte-secrets"] == "true"
    assert list(secrets_of(metadata["annotations"])) == [wanted]
    assert "inject-flyte-secrets" not in pod_of(request(), PROFILE)["metadata"]["labels"]


def raw_request(**config: Any) -> PodRequest:
    """Return a request whose command knows nothing of Flyte, with an input and an output."""
    task = container_task()
    task.interface.inputs.variables["n"].type.simple = SimpleType.INTEGER
    task.interface.outputs.variables["m"].type.simple = SimpleType.INTEGER
    copying = Copying(DataLoadingConfig(enabled=True, **config), task.interface.outputs, "s3://i", "s3://o", "s3://r")
    return request(task, copying=copying)


SPOT = replace(
    PROFILE,
    copilot=Copilot(image="copilot:1"),
    spot=Spot((SPOT_TAINT,), {"pool": "spot"}, {"key": "spot", "operator": "In", "values": ["true"]}),
)
COPYING = replace(PROFILE, copilot=Copilot(image="copilot:1"), environment={"AWS_REGION": "x"})


def test_a_raw_container_is_copied_for() -> None:
    """One container downloads before it, another uploads after it, into folders that it sees where it wants them."""
    pod = pod_of(raw_request(input_path="/in", output_path="/out/"), COPYING)
    (downloader,) = pod["spec"]["initContainers"]
    main, uploader = pod["spec"]["containers"]
    assert [one["image"] for one in (downloader, main, uploader)] == ["copilot:1", "localhost/python:test", "copilot:1"]
    mounts = {one["name"]: {m["name"]: m["mountPath"] for m in one["volumeMounts"]} for one in (downloader, uploader)}
    assert mounts == {
        "flyte-copilot-downloader": {"flyte-inputs": "/in"},
        "flyte-copilot-uploader": {"flyte-outputs": "/out", "flyte-copilot-end": "/var/run/flyteform"},
    }
    assert {m["name"]: m["mountPath"] for m in main["volumeMounts"]} == {"flyte-inputs": "/in", "flyte-outputs": "/out"}
    plan = parse(uploader["args"])
    assert (plan.part, str(plan.exit_code_file), plan.timeout) == ("upload", "/var/run/flyteform/exit-code", 3600)
    assert parse(downloader["args"]).inputs_uri == "s3://i"
    assert {"name": "AWS_REGION", "value": "x"} in downloader["env"]
    kubernetes_validate.validate(pod, "1.36", strict=True)


def test_what_needs_no_copy_has_no_copier() -> None:
    """Neither a task without outputs nor one that copies its inputs itself gets containers beside it."""
    wanted = raw_request(io_strategy=IOStrategy(download_mode=IOStrategy.DO_NOT_DOWNLOAD))
    wanted.task.interface.outputs.variables.clear()
    spec = pod_of(wanted, COPYING)["spec"]
    assert len(spec["containers"]) == 1
    assert "initContainers" not in spec


def test_a_cluster_without_a_copier_refuses_raw_containers() -> None:
    """The message says what whoever runs the cluster has to do."""
    with pytest.raises(UserError, match="cannot copy data for") as caught:
        pod_of(raw_request(), PROFILE)
    assert "copilot.image" in (caught.value.remedy or "")


def test_containers_that_run_first_have_templates_of_their_own() -> None:
    """`default-init` and `primary-init` fill in what downloads; `default` does so for what uploads."""
    template = {
        "spec": {
            "initContainers": [
                {"name": "default-init", "envFrom": [{"secretRef": {"name": "store"}}]},
                {"name": "primary-init", "workingDir": "/work"},
            ],
            "containers": [{"name": "default", "envFrom": [{"secretRef": {"name": "other"}}]}],
        }
    }
    spec = pod_of(raw_request(), COPYING, template)["spec"]
    (downloader,) = spec["initContainers"]
    assert (downloader["name"], downloader["workingDir"]) == ("flyte-copilot-downloader", "/work")
    assert downloader["envFrom"] == [{"secretRef": {"name": "store"}}]
    assert [one["envFrom"] for one in spec["containers"]] == [[{"secretRef": {"name": "other"}}]] * 2


def test_a_template_fills_in_what_the_pod_leaves_open() -> None:
    """The pod's own words win; the template's `default` container is under every one, `primary` under the first."""
    template = {
        "metadata": {"labels": {"team": "a"}},
        "spec": {
            "priorityClassName": "high",
            "containers": [
                {"name": "default", "env": [{"name": "A", "value": "template"}, {"name": "B", "value": "2"}]},
                {"name": "primary", "image": "ignored", "workingDir": "/work"},
            ],
        },
    }
    pod = pod_of(request(), PROFILE, template)
    (primary,) = pod["spec"]["containers"]
    assert primary["env"][:2] == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    assert (primary["image"], primary["workingDir"]) == ("localhost/python:test", "/work")
    assert pod["spec"]["priorityClassName"] == "high"
    assert pod["metadata"]["labels"]["team"] == "a"


def test_a_pod_task_brings_its_containers() -> None:
    """All know of which execution they are part, and the primary one gets what the task's own settings say."""
    proxy_container = {"name": "proxy", "image": "p:1", "command": ["serve"], "env": [{"name": "B", "value": "own"}]}
    task = pod_task({"name": "main", "image": "m:1"}, proxy_container)
    primary, proxy = pod_of(request(task), PROFILE)["spec"]["containers"]
    assert primary["command"] == ["run"]
    assert {"name": "A", "value": "1"} in primary["env"]
    assert primary["resources"]["requests"] == {"cpu": "1", "memory": "1Gi"}
    assert (proxy["command"], proxy["env"][0]) == (["serve"], {"name": "B", "value": "own"})
    assert {"name": "A", "value": "1"} in proxy["env"]
    assert proxy["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}


def test_a_pod_task_without_its_primary_container_is_refused() -> None:
    """The message names the container and those that there are."""
    with pytest.raises(UserError, match="'nobody' as its primary container") as caught:
        pod_of(request(pod_task({"name": "main", "image": "m:1"}, primary="nobody")), PROFILE)
    assert caught.value.remedy == "name one of: main"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("name", "env", "resources", "volumeMounts", "image", "securityContext", "command")
CONTAINERS = st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4) | JSON, max_size=3)
PLACES = ("volumes", "tolerations", "nodeSelector", "affinity", "securityContext", "serviceAccountName")


@given(
    st.fixed_dictionaries(
        {},
        optional={"containers": CONTAINERS | JSON, "initContainers": CONTAINERS | JSON, **dict.fromkeys(PLACES, JSON)},
    )
)
def test_whatever_a_task_brings_is_a_pod_or_refused(spec: Json) -> None:
    """Anybody may register anything: what is no pod is the user's error, in one sentence."""
    primary = {"name": "main", "image": "m:1"}
    for containers in (
        spec.get("containers"),
        [primary, *(spec.get("containers") or [])] if isinstance(spec.get("containers"), list) else [primary],
    ):
        task = TaskTemplate(
            type="sidecar", k8s_pod=K8sPod(pod_spec=ParseDict({**spec, "containers": containers}, Struct()))
        )
        task.k8s_pod.primary_container_name = "main"
        task.extended_resources.shared_memory.size_limit = "1Gi"
        with contextlib.suppress(UserError):
            pod = pod_of(request(task, interruptible=True, copying=raw_request().copying), SPOT)
            assert "main" in [container["name"] for container in pod["spec"]["containers"]]


def test_numbers_of_a_tasks_pod_are_kubernetes_own() -> None:
    """Ports and users stay whole numbers, and what is null is nothing."""
    container = {"name": "main", "image": "m:1", "ports": [{"containerPort": 8080}], "env": None, "resources": None}
    (found,) = pod_of(request(pod_task(container)), PROFILE)["spec"]["containers"]
    assert json.dumps(found["ports"]) == '[{"containerPort": 8080}]'


def test_the_same_request_gives_the_same_pod() -> None:
    """Starting an attempt again is no change of its pod, and nothing of the profile is shared with it."""
    first = pod_of(request(), PROFILE)
    first["spec"]["securityContext"]["runAsUser"] = 0
    assert pod_of(request(), PROFILE)["spec"]["securityContext"]["runAsUser"] == 65534
