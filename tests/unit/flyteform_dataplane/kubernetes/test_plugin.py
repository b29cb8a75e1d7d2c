"""What is asked of a cluster for an attempt of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flyteidl.admin.matchable_resource_pb2 import TaskResourceAttributes, TaskResourceSpec
from flyteidl.core.identifier_pb2 import Identifier, WorkflowExecutionIdentifier
from flyteidl.core.literals_pb2 import Literal, LiteralMap, Primitive, Scalar
from flyteidl.core.tasks_pb2 import DataLoadingConfig, K8sPod, TaskTemplate
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct

from flyteform_dataplane.errors import UserError
from flyteform_dataplane.kubernetes.plugin import PodPlugin
from flyteform_dataplane.plugins.ports import TaskContext
from support.pods import container_task

if TYPE_CHECKING:
    from flyteform_dataplane.ports import PodRequest


def prepared(task: TaskTemplate, **fields: Any) -> PodRequest:
    """Prepare the first attempt of a node."""
    given: dict[str, Any] = {
        "name": "flytesnacks/development/f1/n0/0",
        "execution": WorkflowExecutionIdentifier(project="flytesnacks", domain="development", name="f1"),
        "workflow": Identifier(project="flytesnacks", domain="development", name="wf", version="1"),
        "node": "n0",
        "index": None,
        "attempt": 0,
        "task": task,
        "inputs": LiteralMap(),
        "inputs_uri": "s3://b/n0/data/inputs.pb",
        "output_prefix": "s3://b/n0/data/0",
        "raw_output_prefix": "s3://b/raw",
        **fields,
    }
    return PodPlugin().prepare(TaskContext(**given))


def test_a_containers_templates_are_filled_in() -> None:
    """In its command and in its arguments, which stay apart; the task itself stays as it is."""
    task = container_task()
    task.container.command[:] = ["run", "{{.input}}"]
    task.container.args[:] = ["{{ .outputPrefix }}", "{{.unknown}}"]
    task.config["a"] = "b"
    request = prepared(task)
    assert request.command == ("run", "s3://b/n0/data/inputs.pb")
    assert request.arguments == ("s3://b/n0/data/0", "{{.unknown}}")
    assert task.container.command[1] == "{{.input}}"
    assert request.copying is None


def test_values_name_no_variables() -> None:
    """A kubelet reads `$(NAME)` in commands: an input's value is no way to a variable that others keep secret there."""
    task = container_task()
    task.container.args[:] = ["$(HOME)", "--x={{.inputs.x}}"]
    value = Literal(scalar=Scalar(primitive=Primitive(string_value="$(AWS_SECRET_ACCESS_KEY) $$ 5$")))
    request = prepared(task, inputs=LiteralMap(literals={"x": value}))
    assert request.arguments == ("$(HOME)", "--x=$$(AWS_SECRET_ACCESS_KEY) $$$$ 5$$")
    pod = {"containers": [{"name": "main", "args": ["{{.inputs.x}}"]}]}
    own = TaskTemplate(type="sidecar", k8s_pod=K8sPod(pod_spec=ParseDict(pod, Struct())))
    found = MessageToDict(prepared(own, inputs=LiteralMap(literals={"x": value})).task.k8s_pod.pod_spec)
    assert found["containers"][0]["args"] == ["$$(AWS_SECRET_ACCESS_KEY) $$$$ 5$$"]


def test_templates_of_all_containers_of_a_pod_are_filled_in() -> None:
    """Those that run first and those beside the primary one may name where data lies, too."""
    pod = {
        "initContainers": [{"name": "first", "command": ["fetch", "{{.input}}"]}],
        "containers": [{"name": "main", "args": ["{{.outputPrefix}}"]}, {"name": "beside", "image": "b:1"}],
    }
    task = TaskTemplate(type="sidecar", k8s_pod=K8sPod(pod_spec=ParseDict(pod, Struct())))
    request = prepared(task)
    found = MessageToDict(request.task.k8s_pod.pod_spec)
    assert found["initContainers"][0]["command"] == ["fetch", "s3://b/n0/data/inputs.pb"]
    assert found["containers"] == [{"name": "main", "args": ["s3://b/n0/data/0"]}, {"name": "beside", "image": "b:1"}]
    assert (request.command, request.arguments) == ((), ())


def test_only_texts_are_templates() -> None:
    """A number among the arguments is Kubernetes' to refuse, and not to be lost."""
    pod = {"containers": [{"name": "main", "args": ["sleep", 5, "{{.input}}"]}]}
    task = TaskTemplate(type="sidecar", k8s_pod=K8sPod(pod_spec=ParseDict(pod, Struct())))
    (container,) = MessageToDict(prepared(task).task.k8s_pod.pod_spec)["containers"]
    assert container["args"] == ["sleep", 5, "s3://b/n0/data/inputs.pb"]


@pytest.mark.parametrize("index", [None, 3])
def test_a_raw_container_is_copied_for(index: int | None) -> None:
    """The item of a map has a file of its own inputs; a pod of the task's own may be raw, too."""
    config = DataLoadingConfig(enabled=True, input_path="/in")
    container = container_task()
    container.container.data_config.CopyFrom(config)
    pod = TaskTemplate(type="sidecar", k8s_pod=K8sPod(data_config=config))
    for task in (container, pod):
        copying = prepared(task, index=index).copying
        assert copying is not None
        assert copying.config == config
        expected = "s3://b/n0/data/inputs.pb" if index is None else "s3://b/n0/data/0/inputs.pb"
        assert copying.inputs_uri == expected


def test_what_people_look_for_is_in_the_labels() -> None:
    """Flyte's labels go before a task's own."""
    task = container_task()
    task.metadata.metadata.labels.update({"team": "a", "node-id": "mine"})
    labels = prepared(task, labels={"of": "execution"}, interruptible=True).labels
    assert labels == {
        "of": "execution", "team": "a", "project": "flytesnacks", "domain": "development", "execution-id": "f1",
        "node-id": "n0", "task-name": "train", "workflow-name": "wf", "interruptible": "true",
    }  # fmt: skip


def test_names_are_in_labels_as_flyte_writes_them() -> None:
    """Whoever selects pods by them finds those of both: lower case, and nothing but letters, digits and hyphens."""
    task = container_task()
    task.id.name = f"my.Module.{'t' * 60}_"
    labels = prepared(task, node="dn0_A", workflow=Identifier(name=".wine.train_all")).labels
    assert labels["task-name"] == f"my-module-{'t' * 53}"
    assert (labels["node-id"], labels["workflow-name"]) == ("dn0-a", "wine-train-all")


def test_what_the_platform_lets_tasks_have_is_told() -> None:
    """The limits hold when the pod is made, whatever was registered."""
    platform = TaskResourceAttributes(limits=TaskResourceSpec(cpu="4"))
    assert prepared(container_task(), platform=platform).platform == platform


def test_a_task_with_nothing_to_run_is_refused() -> None:
    """The message names it."""
    task = TaskTemplate(type="python-task")
    task.id.name = "empty"
    with pytest.raises(UserError, match="task empty of type python-task has neither a container nor a pod"):
        prepared(task)
