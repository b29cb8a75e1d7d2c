"""How a pod and a pod template become one."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import combinations
from typing import Any

import kubernetes_validate
import pytest
from flyteidl.core.tasks_pb2 import DataLoadingConfig, GPUAccelerator, K8sPod, TaskTemplate
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from flyteform_dataplane.kubernetes.pods import pod_of
from flyteform_dataplane.kubernetes.profile import Copilot, PodProfile, Spot
from flyteform_dataplane.ports import Copying
from support.pods import Json, amounts, container_task, request

PROFILE = PodProfile()
NOOP = {"name": "noop", "image": "docker.io/rwgrim/docker-noop"}


def made(template: Json, profile: PodProfile = PROFILE, **fields: Any) -> Json:
    """Return the specification of an attempt's pod."""
    spec: Json = pod_of(request(**fields), profile, {"spec": {"containers": [NOOP], **template}})["spec"]
    return spec


def own(**fields: Any) -> TaskTemplate:
    """Return a task with a pod of its own, whose only container has these fields."""
    spec = ParseDict({"containers": [{"name": "main", "image": "m:1", **fields}]}, Struct())
    return TaskTemplate(type="sidecar", k8s_pod=K8sPod(pod_spec=spec, primary_container_name="main"))


def test_containers_that_stand_for_none_are_dropped() -> None:
    """As in Flyte, whose own examples have a `noop`: a template without any container is none for Kubernetes."""
    spec = made({"initContainers": [{"name": "first", "image": "first:1"}]})
    assert [one["name"] for one in spec["containers"]] == ["f1-n0-0"]
    assert "initContainers" not in spec


def test_a_template_may_speak_of_a_container_by_its_name() -> None:
    """What is said of all and of the primary one comes before that, and what the pod says itself last."""
    template = {
        "containers": [
            {"name": "default", "image": "x", "workingDir": "/all", "stdin": True, "tty": True},
            {"name": "primary", "image": "x", "workingDir": "/primary", "stdin": False},
            {"name": "main", "image": "x", "workingDir": "/named"},
        ]
    }
    (container,) = made(template, task=own())["containers"]
    assert (container["image"], container["workingDir"]) == ("m:1", "/named")
    assert (container["stdin"], container["tty"]) == (False, True)


def test_a_template_goes_before_what_nobody_has_said() -> None:
    """It may choose the user, mount a token, and give more time to end; the rest of the defaults stays."""
    template: Json = {
        "securityContext": {"runAsUser": 1000, "fsGroup": 1000},
        "automountServiceAccountToken": True,
        "enableServiceLinks": True,
        "terminationGracePeriodSeconds": 300,
        "containers": [{"name": "default", "securityContext": {"readOnlyRootFilesystem": True}}],
    }
    spec = made(template)
    assert spec["securityContext"] == {**PROFILE.pod_security, "runAsUser": 1000, "fsGroup": 1000}
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (True, True)
    assert spec["terminationGracePeriodSeconds"] == 300
    assert spec["containers"][0]["securityContext"] == {**PROFILE.container_security, "readOnlyRootFilesystem": True}


def test_defaults_of_the_api_server_are_not_a_templates_words() -> None:
    """A template that was stored has them, whether somebody wrote them or not."""
    stored: Json = {
        "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "securityContext": {},
        "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 30,
        "containers": [{"name": "default", "image": "x", "resources": {}, "terminationMessagePolicy": "File"}],
    }  # fmt: skip
    profile = replace(PROFILE, termination_grace_seconds=5)
    spec = made(stored, profile)
    assert (spec["restartPolicy"], spec["terminationGracePeriodSeconds"]) == ("Never", 5)
    assert spec["securityContext"] == PROFILE.pod_security
    (container,) = spec["containers"]
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    task = own()
    task.k8s_pod.pod_spec.fields["terminationGracePeriodSeconds"].number_value = 30
    assert made(stored, profile, task=task)["terminationGracePeriodSeconds"] == 30


def test_what_the_pod_and_the_profile_say_goes_before_the_template() -> None:
    """Flyte's order: the account, the scheduler, the nodes and how often it runs are not the template's to change."""
    profile = replace(PROFILE, scheduler="ours", node_selector={"pool": "tasks"}, dns={"options": []})
    template = {
        "serviceAccountName": "theirs",
        "automountServiceAccountToken": False,
        "schedulerName": "theirs",
        "restartPolicy": "Always",
        "nodeSelector": {"pool": "theirs", "zone": "a"},
    }
    spec = made(template, profile, service_account="worker")
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("worker", True)
    assert (spec["schedulerName"], spec["restartPolicy"]) == ("ours", "Never")
    assert spec["nodeSelector"] == {"pool": "tasks", "zone": "a"}


def test_a_pods_own_security_context_is_its_own() -> None:
    """What the cluster would say is not mixed into it."""
    (container,) = made({}, task=own(securityContext={"runAsUser": 7}))["containers"]
    assert container["securityContext"] == {"runAsUser": 7}


def test_nothing_is_added_that_contradicts_what_is_said() -> None:
    """Kubernetes starts nobody who is root, and no privileges that may not grow."""
    root = {"containers": [{"name": "default", "securityContext": {"runAsUser": 0}}]}
    for spec in (made(root), made({}, task=own(securityContext={"runAsUser": 0}))):
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["containers"][0]["securityContext"]["runAsNonRoot"] is False
    assert "runAsNonRoot" not in made({"securityContext": {"runAsUser": 0}})["securityContext"]
    for given in ({"privileged": True}, {"capabilities": {"add": ["SYS_ADMIN"]}}):
        (container,) = made({"containers": [{"name": "default", "securityContext": given}]})["containers"]
        assert "allowPrivilegeEscalation" not in container["securityContext"]


def terms(spec: Json) -> list[Json]:
    """Return the alternatives of what is required of a node."""
    affinity = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return list(affinity["nodeSelectorTerms"])


def test_what_the_cluster_requires_of_nodes_holds_for_each_alternative_of_a_template() -> None:
    """Terms are alternatives: one more beside the template's would let the pod onto what both forbid."""
    zone = {"key": "zone", "operator": "In", "values": ["a"]}
    stable = {"key": "spot", "operator": "DoesNotExist"}
    node = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [zone]}]}}
    profile = replace(PROFILE, spot=Spot(stable_requirement=stable), affinity={"podAffinity": {}})
    spec = made({"affinity": {"nodeAffinity": node}}, profile)
    assert terms(spec) == [{"matchExpressions": [zone, stable]}]
    assert "podAffinity" not in spec["affinity"]
    assert made({}, profile)["affinity"]["podAffinity"] == {}


def test_an_accelerator_is_chosen_beside_a_template() -> None:
    """Its containers need not say anything of resources."""
    task = container_task({"GPU": "1"})
    task.extended_resources.gpu_accelerator.CopyFrom(GPUAccelerator(device="nvidia-l4"))
    (term,) = terms(made({"containers": [{"name": "default", "image": "x"}, NOOP]}, task=task))
    assert [one["values"] for one in term["matchExpressions"]] == [["nvidia-l4"]]


@pytest.mark.parametrize("times", [1, 2])
def test_a_template_stays_as_it_is(times: int) -> None:
    """It serves the next pod, too."""
    template = {"spec": {"containers": [{"name": "default", "image": "x", "securityContext": {"runAsUser": 7}}]}}
    before, task = copy.deepcopy(template), container_task()
    task.extended_resources.shared_memory.size_limit = "1Gi"
    pods = [pod_of(request(task, interruptible=True), PROFILE, template) for _ in range(times)]
    assert template == before
    for pod in pods:
        kubernetes_validate.validate(pod, "1.36", strict=True)


TEMPLATE: Json = {
    "metadata": {"labels": {"team": "a"}},
    "spec": {
        "priorityClassName": "batch",
        "containers": [{"name": "default", "image": "x", "envFrom": [{"secretRef": {"name": "s"}}]}],
        "initContainers": [{"name": "default-init", "image": "x", "workingDir": "/"}],
    },
}
RICH = replace(
    PROFILE,
    copilot=Copilot(image="copilot:1"),
    spot=Spot(({"key": "spot", "operator": "Exists"},), {"pool": "spot"}, {"key": "spot", "operator": "Exists"}),
    affinity={"podAntiAffinity": {}},
    add_tolerations_for_extended_resources=("nvidia.com/gpu",),
    image_pull_policy="Always",
    image_pull_secrets=("registry",),
    inject_finalizer=True,
)
SWITCHES = ("brings its own", "copies", "has a GPU", "is interruptible", "has a template", "shares memory")


@pytest.mark.parametrize(
    "chosen", [*map(frozenset, combinations(SWITCHES, 3)), frozenset(SWITCHES)], ids=lambda one: ", ".join(sorted(one))
)
def test_all_that_pods_have_is_a_pod(chosen: frozenset[str]) -> None:
    """Whatever comes together, Kubernetes knows all fields, and no name is there twice."""
    task = own(resources={"limits": {"nvidia.com/gpu": 1}}) if "brings its own" in chosen else container_task()
    extended = task.extended_resources
    if "has a GPU" in chosen:
        if task.HasField("container"):
            task.container.resources.limits.extend(amounts(GPU="1"))
        extended.gpu_accelerator.CopyFrom(GPUAccelerator(device="l4", partition_size="1g.5gb"))
    if "shares memory" in chosen:
        extended.shared_memory.size_limit = "1Gi"
    task.interface.inputs.variables["i"].type.simple = task.interface.outputs.variables["o"].type.simple = 1
    copying = Copying(DataLoadingConfig(enabled=True), task.interface.outputs, "s3://i", "s3://o", "s3://r")
    wanted = request(
        task, copying=copying if "copies" in chosen else None, interruptible="is interruptible" in chosen,
        service_account="worker",
    )  # fmt: skip
    pod = pod_of(wanted, RICH, TEMPLATE if "has a template" in chosen else None, "uid")
    kubernetes_validate.validate(pod, "1.36", strict=True)
    containers = [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
    for entries in (containers, pod["spec"].get("volumes", []), *(one["env"] for one in containers)):
        names = [entry["name"] for entry in entries]
        assert len(names) == len(set(names))
    for container in containers:
        assert container["resources"]["limits"].keys() >= {"cpu", "memory"}
        assert container["securityContext"] == RICH.container_security
