"""Definitions become the messages that Flyte's own SDK writes, and the compiler accepts them."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flyteidl.core import identifier_pb2, workflow_pb2
from google.protobuf.json_format import MessageToDict

import flyteform as fl
from flyteform import idl
from flyteform.authoring import LaunchPlan, MapTask, PythonTask, Workflow, load_module
from flyteform.compiler import IdKey, LaunchPlanInterface, compile_task, compile_workflow
from flyteform.errors import DefinitionError

HERE = Path(__file__).parent
DATA = HERE.parent / "compiler" / "data"
PLACE = idl.Placement("example.test/flyte:1", "s3://bucket/code.tar.gz")
MODULE = "reference_definitions"


@pytest.fixture(scope="module")
def definitions() -> Any:
    """Load the reference workflows."""
    path = list(sys.path)
    yield load_module(HERE / f"{MODULE}.py").module
    sys.path[:] = path
    del sys.modules[MODULE]


def identifier(entity: idl.Entity) -> identifier_pb2.Identifier:
    """Return the id that an entity has in the references."""
    kind = {
        PythonTask: identifier_pb2.TASK,
        MapTask: identifier_pb2.TASK,
        Workflow: identifier_pb2.WORKFLOW,
        LaunchPlan: identifier_pb2.LAUNCH_PLAN,
    }[type(entity)]
    name = entity.name.replace(MODULE, "refs")
    return identifier_pb2.Identifier(
        resource_type=kind, project="flytesnacks", domain="development", name=name, version="v1"
    )


def shown(message: Any) -> Any:
    """Return a message as JSON with the names of the protocol."""
    return MessageToDict(message, preserving_proto_field_name=True)


def reference(file: str, name: str) -> Any:
    """Return what Flyte's own SDK wrote, without what is its own business."""
    text = (DATA / file).read_text()
    # The names of map tasks carry a digest of that SDK's, and the order of upstream nodes is that of a set.
    text = text.replace("refs.map_inc_cfcdab58c36167a169183ce07b595544-arraynode", "refs.MAPPED")
    return next(one for one in json.loads(text) if one["template"]["id"]["name"] == name)


def workflow_spec(workflow: Workflow) -> Any:
    """Return a workflow's spec."""
    return idl.workflow_spec(workflow, identifier(workflow), identifier)


@pytest.mark.parametrize("name", ["chain", "diamond", "sub", "launch", "mapped", "types", "constants", "overrides"])
def test_a_workflow_is_what_flytes_sdk_writes(definitions: Any, name: str) -> None:
    """Nodes, bindings, metadata and interfaces are the same field by field."""
    ours, theirs = shown(workflow_spec(getattr(definitions, name))), reference("workflows.json", f"refs.{name}")
    for spec in (ours, theirs):
        for node in spec["template"]["nodes"]:
            node.get("upstream_node_ids", []).sort()
            _forget_map_names(node)
    assert ours == theirs


def _forget_map_names(node: Any) -> None:
    if "array_node" in node:
        sub_node = node["array_node"]["node"]
        node["metadata"]["name"] = sub_node["metadata"]["name"] = sub_node["id"] = "refs.MAPPED"
        sub_node["task_node"]["reference_id"]["name"] = "refs.MAPPED"


@pytest.mark.parametrize("name", ["inc", "add", "show", "pair", "box", "paint", "total", "total_some"])
def test_a_task_is_what_flytes_sdk_writes(definitions: Any, name: str) -> None:
    """But for the command, which is our entry point, and the name of the SDK's version."""
    ours = shown(idl.task_spec(getattr(definitions, name), identifier(getattr(definitions, name)), PLACE))
    theirs = reference("tasks.json", f"refs.{name}")
    assert ours["template"]["container"]["args"][:3] == ["flyteform-execute", "--inputs", "{{.input}}"]
    assert ours["template"]["container"]["args"][-6:] == [
        "--bundle", "s3://bucket/code.tar.gz", "--module", MODULE, "--task", name
    ]  # fmt: skip
    assert ours["template"]["metadata"]["runtime"] == {
        "type": "FLYTE_SDK", "version": fl.__version__, "flavor": "python"
    }  # fmt: skip
    for spec in (ours, theirs):
        del spec["template"]["container"]["args"], spec["template"]["metadata"]["runtime"]
        for empty in ("generates_deck", "metadata"):
            spec["template"]["metadata"].pop(empty, None)
    assert ours == theirs


def test_all_settings_are_in_the_message(definitions: Any) -> None:
    """Nothing that a user declares is lost on the way to the platform."""
    full = definitions.full
    template = idl.task_spec(full, identifier(full), idl.Placement("default:1")).template
    assert template.metadata.cache_serializable
    assert template.metadata.cache_ignore_input_vars == ["y"]
    assert template.metadata.interruptible
    assert template.metadata.timeout.ToTimedelta() == timedelta(seconds=90)
    assert template.container.image == "own:1"
    assert [(pair.key, pair.value) for pair in template.container.env] == [("A", "1"), ("B", "2")]
    assert shown(template.container.resources) == {
        "requests": [
            {"name": "CPU", "value": "16"},
            {"name": "MEMORY", "value": "16Gi"},
            {"name": "GPU", "value": "1"},
        ],
        "limits": [{"name": "EPHEMERAL_STORAGE", "value": "1Gi"}],
    }
    assert "--bundle" not in template.container.args


def test_a_map_task_with_bound_inputs(definitions: Any) -> None:
    """The bound input stays as it is, the others become lists, and the entry point learns which is which."""
    (node,) = workflow_spec(definitions.bound).template.nodes
    array = node.array_node
    assert list(array.bound_inputs) == ["b"]
    assert array.WhichOneof("success_criteria") == "min_successes"
    assert array.execution_mode == workflow_pb2.ArrayNode.MINIMAL_STATE
    assert not array.HasField("parallelism") or array.parallelism == 0
    assert [binding.var for binding in node.inputs] == ["a", "b"]
    entity = definitions.bound.nodes[0].entity
    template = idl.task_spec(entity, identifier(entity), PLACE).template
    assert template.container.args[-7:] == ["--map", "--bound", "b", "--module", MODULE, "--task", "add"]
    inputs = template.interface.inputs.variables
    assert (inputs["a"].type.WhichOneof("type"), inputs["b"].type.WhichOneof("type")) == ("collection_type", "simple")
    assert template.interface.outputs.variables["o0"].type.collection_type.HasField("union_type")


def test_descriptions_come_from_docstrings(definitions: Any) -> None:
    """The first line is the short description."""
    description = workflow_spec(definitions.bound).description
    assert description.short_description == "Map with a bound input."
    assert description.long_description.value.endswith("Second paragraph.")


def test_failure_policies(definitions: Any) -> None:
    """The policy is in the metadata of the workflow."""
    metadata = workflow_spec(definitions.bound).template.metadata
    assert metadata.on_failure == workflow_pb2.WorkflowMetadata.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE


def test_a_launch_plan_is_what_flytes_sdk_writes(definitions: Any) -> None:
    """Parameters with defaults, as the reference has them."""
    plans = json.loads((DATA / "launch_plans.json").read_text())
    theirs = next(one["spec"] for one in plans if one["id"]["name"] == "chain_lp")
    assert shown(idl.launch_plan_spec(definitions.chain_lp, identifier(definitions.chain))) == theirs


def test_a_scheduled_launch_plan(definitions: Any) -> None:
    """Fixed inputs are no parameters; the schedule is in the metadata."""
    spec = shown(idl.launch_plan_spec(definitions.nightly, identifier(definitions.bound)))
    assert list(spec["default_inputs"]["parameters"]) == ["xs"]
    assert spec["fixed_inputs"] == {"literals": {"b": {"scalar": {"primitive": {"integer": "3"}}}}}
    assert spec["entity_metadata"]["schedule"]["cron_schedule"] == {"schedule": "0 6 * * *"}


def test_the_same_definition_gives_the_same_bytes(definitions: Any) -> None:
    """Versions are digests, so a second look must not differ."""
    names = ("mapped", "types", "constants", "bound", "sub")
    first, second = (
        [workflow_spec(getattr(definitions, name)).SerializeToString(deterministic=True) for name in names]
        for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize(
    "name", ["chain", "diamond", "sub", "launch", "mapped", "types", "constants", "overrides", "bound"]
)
def test_the_compiler_accepts_it(definitions: Any, name: str) -> None:
    """What traces here compiles on the control plane."""
    workflow = getattr(definitions, name)
    tasks, plans = {}, {}
    for entity in idl.entities(workflow):
        one = identifier(entity)
        match entity:
            case PythonTask() | MapTask():
                tasks[IdKey.from_message(one)] = compile_task(idl.task_spec(entity, one, PLACE), one)
            case LaunchPlan():
                spec = idl.launch_plan_spec(entity, identifier(entity.workflow))
                outputs = idl.typed_interface(entity.interface).outputs
                interface = LaunchPlanInterface(one, spec.default_inputs, spec.fixed_inputs, outputs)
                plans[IdKey.from_message(one)] = interface
            case _:
                pass
    spec = workflow_spec(workflow)
    closure = compile_workflow(spec, identifier(workflow), tasks=tasks, launch_plans=plans)
    assert len(closure.primary.template.nodes) == len(workflow.nodes) + 2  # start and end


def test_a_function_inside_of_a_function_cannot_be_registered() -> None:
    """Another process could not find it, which is said before anything is sent."""

    @fl.task
    def hidden(x: int) -> int:
        return x

    with pytest.raises(DefinitionError, match=r"test_specs.py:\d+: task .*hidden is declared inside of a function"):
        idl.task_spec(hidden, identifier(hidden), PLACE)
