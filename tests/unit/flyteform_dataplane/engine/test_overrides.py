"""What nodes change of their tasks."""

from __future__ import annotations

from flyteidl.core.tasks_pb2 import K8sPod, TaskTemplate
from flyteidl.core.workflow_pb2 import NodeMetadata, TaskNodeOverrides
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct

from flyteform_dataplane.engine.overrides import overridden
from support.pods import amounts, container_task


def pod(*containers: object, primary: str = "main") -> K8sPod:
    """Return a pod of these containers."""
    return K8sPod(pod_spec=ParseDict({"containers": list(containers)}, Struct()), primary_container_name=primary)


def test_a_container_is_changed() -> None:
    """Image and amounts are the node's where it names them; the template stays as it is."""
    task = container_task({"CPU": "1", "MEMORY": "1Gi"})
    overrides = TaskNodeOverrides(container_image="other:2")
    overrides.resources.requests.extend(amounts(CPU="4"))
    overrides.extended_resources.gpu_accelerator.device = "nvidia-a100"
    made = overridden(task, overrides, NodeMetadata())
    assert made.container.image == "other:2"
    assert {entry.name: entry.value for entry in made.container.resources.requests} == {1: "4", 3: "1Gi"}
    assert made.extended_resources.gpu_accelerator.device == "nvidia-a100"
    assert task == container_task({"CPU": "1", "MEMORY": "1Gi"})


def test_a_pods_primary_container_is_changed() -> None:
    """A task that brings a pod goes on to bring one, whose other containers stay as they are."""
    task = TaskTemplate(k8s_pod=pod({"name": "main", "image": "m:1"}, {"name": "proxy", "image": "p:1"}))
    overrides = TaskNodeOverrides(container_image="other:2")
    overrides.resources.limits.extend(amounts(MEMORY="2Gi", GPU="1"))
    made = overridden(task, overrides, NodeMetadata())
    assert made.WhichOneof("target") == "k8s_pod"
    main, proxy = MessageToDict(made.k8s_pod.pod_spec)["containers"]
    assert main["image"] == "other:2"
    assert main["resources"] == {"limits": {"memory": "2Gi", "nvidia.com/gpu": "1"}}
    assert proxy == {"name": "proxy", "image": "p:1"}


def test_a_pod_is_replaced() -> None:
    """A pod template of the node's own takes the place of the task's pod; labels are added."""
    task = TaskTemplate(k8s_pod=pod({"name": "main", "image": "m:1"}))
    task.k8s_pod.metadata.labels["team"] = "a"
    overrides = TaskNodeOverrides(pod_template=pod({"name": "big", "image": "b:1"}, primary="big"))
    overrides.pod_template.metadata.labels["size"] = "b"
    made = overridden(task, overrides, NodeMetadata()).k8s_pod
    assert (made.primary_container_name, dict(made.metadata.labels)) == ("big", {"team": "a", "size": "b"})
    assert MessageToDict(made.pod_spec) == {"containers": [{"name": "big", "image": "b:1"}]}


def test_a_command_gets_a_pod() -> None:
    """What is registered with a node's pod template has the command in it; what is copied for it stays."""
    task = container_task()
    task.container.data_config.input_path = "/in"
    overrides = TaskNodeOverrides(container_image="o:3")
    overrides.pod_template.CopyFrom(pod({"name": "big", "image": "b:1", "args": ["x"]}, primary="big"))
    overrides.pod_template.metadata.labels["size"] = "b"
    overrides.resources.limits.extend(amounts(CPU="2"))
    made = overridden(task, overrides, NodeMetadata()).k8s_pod
    assert (made.primary_container_name, dict(made.metadata.labels)) == ("big", {"size": "b"})
    (container,) = MessageToDict(made.pod_spec)["containers"]
    assert container == {"name": "big", "image": "o:3", "args": ["x"], "resources": {"limits": {"cpu": "2"}}}
    assert made.data_config.input_path == "/in"
    assert not overridden(container_task(), overrides, NodeMetadata()).k8s_pod.HasField("data_config")
    assert task.WhichOneof("target") == "container"


def test_labels_alone_are_a_commands_too() -> None:
    """A pod template without containers leaves the command what it is."""
    overrides = TaskNodeOverrides()
    overrides.pod_template.metadata.labels["a"] = "b"
    made = overridden(container_task(), overrides, NodeMetadata())
    assert made.container == container_task().container
    assert dict(made.metadata.metadata.labels) == {"a": "b"}


def test_labels_alone_leave_the_pod() -> None:
    """A pod template without containers changes what is said of the pod, not what runs in it."""
    task = TaskTemplate(k8s_pod=pod({"name": "main", "image": "m:1"}))
    overrides = TaskNodeOverrides()
    overrides.pod_template.metadata.annotations["a"] = "b"
    made = overridden(task, overrides, NodeMetadata()).k8s_pod
    assert made.pod_spec == task.k8s_pod.pod_spec
    assert dict(made.metadata.annotations) == {"a": "b"}
