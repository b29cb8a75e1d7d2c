"""Tasks compile when what runs them is complete, and are carried over unchanged."""

from __future__ import annotations

import compiler_builders as b
import pytest
from flyteidl.admin import task_pb2
from flyteidl.core import identifier_pb2, tasks_pb2
from google.protobuf import json_format

from flyteform.compiler import CompileErrors, ErrorKind, compile_task, is_quantity


def _container(**fields: object) -> tasks_pb2.TaskTemplate:
    return tasks_pb2.TaskTemplate(type="python-task", container=tasks_pb2.Container(**fields))  # type: ignore[arg-type]


def _pod(spec: dict[str, object]) -> tasks_pb2.TaskTemplate:
    template = tasks_pb2.TaskTemplate(type="pod")
    json_format.ParseDict(spec, template.k8s_pod.pod_spec)
    return template


def _kinds(template: tasks_pb2.TaskTemplate) -> set[ErrorKind]:
    try:
        compile_task(template, b.an_id("t"))
    except CompileErrors as error:
        return set(error.kinds)
    return set()


def test_template_is_carried_over_under_the_given_id() -> None:
    """Only the id changes, and it is a task's."""
    spec = task_pb2.TaskSpec(template=_container(image="i", args=["a"], config=[{"key": "k", "value": "v"}]))
    compiled = compile_task(spec, identifier_pb2.Identifier(project="p", domain="d", name="t", version="v"))
    assert compiled.template.id == b.an_id("t")
    compiled.template.ClearField("id")
    assert compiled.template == spec.template
    assert not spec.template.HasField("id")


def test_container_needs_an_image() -> None:
    """A container without an image cannot run."""
    assert _kinds(_container(args=["a"])) == {ErrorKind.VALUE_REQUIRED}


def test_container_with_variables_needs_a_command() -> None:
    """Inputs or outputs must have somewhere to go; a container without either may use its image's own command."""
    template = _container(image="i")
    assert _kinds(template) == set()
    template.interface.CopyFrom(b.interface({"x": b.INT}))
    assert _kinds(template) == {ErrorKind.VALUE_REQUIRED}
    template.container.command.append("run")
    assert _kinds(template) == set()


@pytest.mark.parametrize("side", ["requests", "limits"])
def test_resources_are_quantities(side: str) -> None:
    """A request or limit that Kubernetes could not read is named."""
    template = _container(image="i")
    getattr(template.container.resources, side).add(name=tasks_pb2.Resources.MEMORY, value="lots")
    with pytest.raises(CompileErrors) as caught:
        compile_task(template, b.an_id("t"))
    (error,) = caught.value.errors
    assert (error.kind, error.node_id) == (ErrorKind.UNRECOGNIZED_VALUE, "resources.MEMORY")


def test_unknown_resource_is_named_by_number() -> None:
    """A resource that only a newer client knows is still reported when its quantity is wrong."""
    template = _container(image="i")
    template.container.resources.requests.add(name=99, value="lots")  # type: ignore[arg-type]
    assert _kinds(template) == {ErrorKind.UNRECOGNIZED_VALUE}


def test_pod_containers_are_named_for_kubernetes() -> None:
    """A pod's containers need DNS labels as names, and a spec that is none is refused."""
    assert _kinds(_pod({"containers": [{"name": "primary"}]})) == set()
    assert _kinds(_pod({})) == set()
    for name in ("", "Not_A_Label", "a" * 64, 3):
        assert _kinds(_pod({"containers": [{"name": name}]})) == {ErrorKind.INVALID_VALUE}
    endless = tasks_pb2.TaskTemplate(type="pod")
    endless.k8s_pod.pod_spec["containers"] = float("inf")
    assert _kinds(endless) == {ErrorKind.INVALID_VALUE}
    for containers in ("none", ["none"]):
        assert _kinds(_pod({"containers": containers})) == {ErrorKind.INVALID_VALUE}


def test_other_targets_are_left_to_their_plugins() -> None:
    """A query or a connector's task has nothing to check here."""
    assert _kinds(tasks_pb2.TaskTemplate(type="bigquery", sql=tasks_pb2.Sql(statement="select 1"))) == set()
    assert _kinds(tasks_pb2.TaskTemplate(type="sensor")) == set()


@pytest.mark.parametrize(
    "text", ["1", "0.5", "500m", "2Gi", "1e3", "1E3", "1E", "100k", ".5", "1.", "+1", "-1", "12e-3"]
)
def test_quantity(text: str) -> None:
    """What Kubernetes reads as a quantity is one."""
    assert is_quantity(text)


@pytest.mark.parametrize("text", ["", "lots", "1 Gi", "1GB", "1K", "1e", "1ki", "1.2.3", "1\n", "Gi"])
def test_no_quantity(text: str) -> None:
    """What Kubernetes does not read is none."""
    assert not is_quantity(text)
