"""Stock flytekit workflows in real pods of a namespace that takes restricted ones only: to their right ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from flyteidl.admin.task_pb2 import TaskCreateRequest, TaskSpec
from flyteidl.core.execution_pb2 import NodeExecution, WorkflowExecution
from flyteidl.core.identifier_pb2 import Identifier, ResourceType
from flyteidl.core.interface_pb2 import TypedInterface, VariableMap
from flyteidl.core.tasks_pb2 import K8sPod, RuntimeMetadata, TaskMetadata, TaskTemplate
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from support.kubernetes import kubectl
from support.platform import wait_until
from support.pod_platform import DOMAIN, NAMESPACE, NODE, PROJECT, VERSION, PodPlatform, installed, running
from support.s3 import running_s3
from support.stock import call, programs

if TYPE_CHECKING:
    from collections.abc import Iterator

STOCK, SHELL, OPERATOR = "localhost/flytekit:test", "localhost/python:test", "localhost/operator:test"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodPlatform]:
    """Run a platform on the cluster, and register the workflows."""
    folder = tmp_path_factory.mktemp("stock")
    with installed(**RESTRICTED), running_s3(NODE) as s3, running(folder, s3) as started:
        secret = ("secret", "generic", "tokens", "--from-literal=Api_Key=hidden", "--from-literal=user=me")
        kubectl("create", f"--namespace={NAMESPACE}", *secret)
        # Kubernetes wants an image there, which the task's own takes the place of.
        primary = {"name": "primary", "image": SHELL, "env": [{"name": "FROM_TEMPLATE", "value": "yes"}]}
        template = {"spec": {"containers": [primary]}}
        kubectl("apply", "-f", "-", given={**kind("PodTemplate", "labelled"), "template": template})
        started.start_webhook()
        environment = {
            **s3.environment,
            "FLYTE_AWS_ENDPOINT": s3.endpoint,
            "FLYTE_AWS_ACCESS_KEY_ID": s3.environment["AWS_ACCESS_KEY_ID"],
            "FLYTE_AWS_SECRET_ACCESS_KEY": s3.environment["AWS_SECRET_ACCESS_KEY"],
        }
        links = [{"display-name": "Logs", "template-uris": ["https://logs.test/{{ .namespace }}/{{ .podName }}"]}]
        copilot = {"image": OPERATOR, "cpu": "50m"}
        started.start_operator({"environment": environment, "memory": "512Mi", "copilot": copilot, "log-links": links})
        register(started)
        yield started


def kind(name: str, called: str) -> dict[str, Any]:
    """Return the head of an object in the tests' namespace."""
    return {"apiVersion": "v1", "kind": name, "metadata": {"name": called, "namespace": NAMESPACE}}


def register(platform: PodPlatform) -> None:
    """Register the stock client's workflows as its users do."""
    project = ("--project", PROJECT, "--domain", DOMAIN, "--version", VERSION, "--image", STOCK)
    for file in ("podded.py", "nodes.py"):
        done = call(programs() / "pyflyte", "register", *project, file, home=platform.folder, endpoint=platform.grpc)
        assert done.returncode == 0, done.stdout + done.stderr


def pods(execution: str) -> list[dict[str, Any]]:
    """Return the pods of an execution's attempts."""
    selector = f"--selector=execution-id={execution}"
    return list(json.loads(kubectl("get", "pods", f"--namespace={NAMESPACE}", selector, "--output=json"))["items"])


def runs(execution: str) -> bool:
    """Say whether an attempt's program runs."""
    statuses = [one for pod in pods(execution) for one in pod["status"].get("containerStatuses", [])]
    return any("running" in one["state"] for one in statuses)


@pytest.mark.timeout(600)
def test_something_of_everything(platform: PodPlatform) -> None:
    """A map, a dynamic task, a branch, a raw container, secrets, a deck and a template of the cluster's own."""
    platform.launch("all", "podded.everything", n=12)
    assert platform.outputs("all") == {
        "o0": 144, "o1": 12, "o2": 288, "o3": "12 apples", "o4": "me hidden me", "o5": 12, "o6": "yes",
    }  # fmt: skip
    decks = [node.closure.deck_uri for node in platform.nodes("all") if node.closure.deck_uri]
    assert len(decks) == 1
    assert decks[0].startswith(f"{platform.prefix}/")
    over = {"Succeeded", "Failed"}
    wait_until(lambda: {one["status"]["phase"] for one in pods("all")} <= over, seconds=60, what="every pod has ended")


@pytest.mark.timeout(600)
def test_ends_other_than_success(platform: PodPlatform) -> None:
    """The user's own error with its failure node, a raw container's exit code, too much memory, too much time."""
    platform.launch("cleaned", "nodes.cleaned", n=3)
    platform.launch("breaks", "podded.breaks", n=3)
    platform.launch("eats", "podded.eats", n=2000)
    platform.launch("loiters", "podded.loiters", n=300)
    errors = {name: platform.ended(name).closure.error for name in ("cleaned", "breaks", "eats", "loiters")}
    assert "no 3" in errors["cleaned"].message
    phases = {node.id.node_id: node.closure.phase for node in platform.nodes("cleaned")}
    assert phases["fn0"] == NodeExecution.SUCCEEDED
    assert "it is broken" in errors["breaks"].message
    assert "exit code (3)" in errors["breaks"].message
    assert platform.log("breaks", "n0") == ["it is broken"]
    assert "OOMKilled" in errors["eats"].code + errors["eats"].message
    assert "TimeoutExpired" in errors["loiters"].code + errors["loiters"].message
    wait_until(lambda: not runs("loiters") and not runs("breaks"), seconds=60, what="no pod is left running")


@pytest.mark.timeout(600)
def test_a_pod_that_somebody_deletes_is_tried_again(platform: PodPlatform) -> None:
    """It costs the user no retry, and the next attempt succeeds."""
    platform.launch("deleted", "podded.naps", n=600)
    wait_until(lambda: runs("deleted"), seconds=120, what="its pod runs")
    (pod,) = pods("deleted")
    kubectl("delete", "pod", pod["metadata"]["name"], f"--namespace={NAMESPACE}", "--now")
    assert platform.outputs("deleted") == {"o0": 1}


@pytest.mark.timeout(600)
def test_an_aborted_execution_leaves_no_pod(platform: PodPlatform) -> None:
    """Its pod is gone soon after."""
    platform.launch("aborted", "podded.naps", n=600)
    wait_until(lambda: runs("aborted"), seconds=120, what="its pod runs")
    platform.abort("aborted")
    assert platform.ended("aborted").closure.phase == WorkflowExecution.ABORTED
    wait_until(lambda: not pods("aborted"), seconds=60, what="its pod is gone")


@pytest.mark.timeout(600)
def test_a_task_that_brings_its_own_pod(platform: PodPlatform) -> None:
    """It ends with its primary container, and the container beside that is ended with it."""
    containers = [
        {"name": "main", "image": SHELL, "command": ["python3", "-c", "print('done')"]},
        {"name": "beside", "image": SHELL, "command": ["sleep", "3600"]},
    ]
    identifier = Identifier(
        resource_type=ResourceType.TASK, project=PROJECT, domain=DOMAIN, name="sidecar", version=VERSION
    )
    template = TaskTemplate(
        id=identifier,
        type="sidecar",
        interface=TypedInterface(inputs=VariableMap(), outputs=VariableMap()),
        metadata=TaskMetadata(runtime=RuntimeMetadata(type=RuntimeMetadata.FLYTE_SDK, version="1", flavor="python")),
        k8s_pod=K8sPod(pod_spec=ParseDict({"containers": containers}, Struct()), primary_container_name="main"),
    )
    platform.admin.CreateTask(TaskCreateRequest(id=identifier, spec=TaskSpec(template=template)))
    platform.launch("sidecar", "sidecar", ResourceType.TASK)
    assert platform.ended("sidecar").closure.phase == WorkflowExecution.SUCCEEDED
    wait_until(lambda: not runs("sidecar"), seconds=60, what="the container beside it has ended")
