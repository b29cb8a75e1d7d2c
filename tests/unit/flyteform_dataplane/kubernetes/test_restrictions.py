"""What a task's own pod may not ask for: the way out of its namespace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flyteidl.core.tasks_pb2 import K8sPod, TaskTemplate
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from flyteform_dataplane.errors import UserError
from flyteform_dataplane.kubernetes.pods import pod_of
from flyteform_dataplane.kubernetes.profile import PodProfile
from support.pods import Json, container_task, request

PROFILE = PodProfile()


def pod_task(container: Json | None = None, **spec: Any) -> TaskTemplate:
    """Return a task that brings its own pod."""
    containers = [{"name": "main", "image": "m:1", **(container or {})}]
    task = TaskTemplate(
        type="sidecar", k8s_pod=K8sPod(pod_spec=ParseDict({"containers": containers, **spec}, Struct()))
    )
    task.id.name, task.k8s_pod.primary_container_name = "train", "main"
    return task


def container(**security: Any) -> TaskTemplate:
    """Return a task whose pod's container has this security context."""
    return pod_task({"securityContext": security})


ASKED = {
    "hostNetwork": pod_task(hostNetwork=True),
    "hostPID": pod_task(hostPID=True),
    "hostIPC": pod_task(hostIPC=True),
    "hostPath of volume v": pod_task(volumes=[{"name": "v", "hostPath": {"path": "/"}}]),
    "sysctl kernel.msgmax": pod_task(securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}),
    "priority class system-node-critical": pod_task(priorityClassName="system-node-critical"),
    "hostProcess": pod_task(securityContext={"windowsOptions": {"hostProcess": True}}),
    "unconfined seccompProfile": pod_task(securityContext={"seccompProfile": {"type": "Unconfined"}}),
    "privileged of container main": container(privileged=True),
    "procMount of container main": container(procMount="Unmasked"),
    "capability SYS_ADMIN of container main": container(capabilities={"add": ["SYS_ADMIN"]}),
    "unconfined appArmorProfile of container main": container(appArmorProfile={"type": "Unconfined"}),
    "hostPort of container main": pod_task({"ports": [{"containerPort": 80, "hostPort": 80}]}),
    "privileged of container first": pod_task(
        initContainers=[{"name": "first", "image": "f", "securityContext": {"privileged": True}}]
    ),
}


@pytest.mark.parametrize("what", ASKED)
def test_a_task_does_not_get_the_node(what: str) -> None:
    """The message names what was asked for; whoever runs the cluster may allow it."""
    with pytest.raises(UserError) as caught:
        pod_of(request(ASKED[what]), PROFILE)
    assert caught.value.message == f"the pod of task train asks for what is the node's: {what}"
    assert pod_of(request(ASKED[what]), replace(PROFILE, host_access=True))["kind"] == "Pod"


def test_what_is_harmless_is_let_pass() -> None:
    """What Kubernetes' `baseline` pod security has nothing against."""
    task = pod_task(
        {"securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}, "procMount": "Default"},
         "ports": [{"containerPort": 80}]},
        hostNetwork=False,
        priorityClassName="batch",
        volumes=[{"name": "v", "emptyDir": {}}],
        securityContext={"seccompProfile": {"type": "RuntimeDefault"}},
    )  # fmt: skip
    assert pod_of(request(task), PROFILE)["kind"] == "Pod"


def test_a_template_may_ask_for_the_node() -> None:
    """It is made by whoever has rights in the cluster."""
    template = {"spec": {"hostPID": True, "containers": [{"name": "default", "securityContext": {"privileged": True}}]}}
    spec = pod_of(request(), PROFILE, template)["spec"]
    assert spec["hostPID"]
    assert spec["containers"][0]["securityContext"]["privileged"]


@pytest.mark.parametrize("wrong", [{"securityContext": []}, {"ports": [1]}, {"securityContext": {"capabilities": 1}}])
def test_a_form_that_is_none_is_refused(wrong: Json) -> None:
    """Before anything is looked up in it."""
    with pytest.raises(UserError, match="the pod of task train is none: containers"):
        pod_of(request(pod_task(wrong)), PROFILE)


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_a_number_that_is_none_is_refused(number: float) -> None:
    """No JSON has it."""
    task = pod_task()
    task.k8s_pod.pod_spec.fields["activeDeadlineSeconds"].number_value = number
    with pytest.raises(UserError, match="it has a number that is none"):
        pod_of(request(task), PROFILE)


def test_annotations_that_pretend_to_be_ours_are_left_out() -> None:
    """A task that says it has ended, or that its pod is another attempt's, is not believed."""
    ours = {"flyteform.dev/primary-exit-code": "0", "flyteform.dev/attempt": "p/d/other/n0/0", "flyteform.dev/new": "x"}
    task = pod_task()
    task.k8s_pod.metadata.annotations.update({**ours, "own": "1"})
    for given in (request(task, annotations={"of": "execution"}), request(annotations={**ours, "own": "1"})):
        annotations = pod_of(given, PROFILE)["metadata"]["annotations"]
        kept = {name: value for name, value in annotations.items() if name.startswith("flyteform.dev/")}
        assert kept == {"flyteform.dev/attempt": "flytesnacks/development/f1/n0/0"}
        assert annotations["own"] == "1"


def test_labels_that_pretend_to_be_ours_are_not_believed() -> None:
    """A pod is always seen by its operator, and belongs to its own execution."""
    ours = {"app.kubernetes.io/managed-by": "me", "execution-id": "other"}
    task = pod_task()
    task.k8s_pod.metadata.labels.update(ours)
    labels = pod_of(request(task, labels={"execution-id": "f1"}), PROFILE)["metadata"]["labels"]
    assert labels == {"app.kubernetes.io/managed-by": "flyteform", "execution-id": "f1"}


def test_a_domain_does_not_get_a_namespace_of_kubernetes() -> None:
    """Accounts there may do anything."""
    name = "kube/system/f1/n0/0"
    with pytest.raises(UserError, match="namespace kube-system is the cluster's own"):
        pod_of(request(container_task(), name=name), PROFILE)
