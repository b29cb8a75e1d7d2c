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


REFERENCES = ["chain", "diamond", "sub", "launch", "mapped", "types", "constants", "overrides"]
REFERENCES += ["branch", "nested_branch", "gates", "failing", "dyn"]


@pytest.mark.parametrize("name", REFERENCES)
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


@pytest.mark.parametrize("name", ["inc", "add", "show", "pair", "box", "paint", "total", "total_some", "clean"])
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


def test_a_dynamic_task_is_a_task_that_knows_its_image(definitions: Any) -> None:
    """What it makes runs in the same image, which it cannot learn in its container otherwise."""
    template = idl.task_spec(definitions.fan, identifier(definitions.fan), PLACE).template
    assert (template.type, template.task_type_version) == ("python-task", 0)
    arguments = list(template.container.args)
    assert arguments[arguments.index("--image") + 1] == PLACE.image


def test_a_condition_on_what_nodes_give(definitions: Any) -> None:
    """As flytekit writes it: each value is named by its node and output, and the branch waits for those nodes."""
    template = workflow_spec(definitions.choosing).template
    branch = shown(template.nodes[2])
    assert sorted(branch["upstream_node_ids"]) == ["n0", "n1"]
    assert [one["var"] for one in branch["inputs"]] == [".x", "n0.o0", "n1.o0"]
    block = branch["branch_node"]["if_else"]
    assert block["case"]["condition"] == {"conjunction": {
        "operator": "OR",
        "left_expression": {"comparison": {
            "operator": "GT", "left_value": {"var": "n0.o0"}, "right_value": {"primitive": {"integer": "1"}},
        }},
        "right_expression": {"comparison": {
            "left_value": {"var": "n1.o0"}, "right_value": {"scalar": {"none_type": {}}},
        }},
    }}  # fmt: skip
    assert block["case"]["then_node"]["inputs"][0]["binding"] == {"promise": {"node_id": "n0", "var": "o0"}}
    assert block["other"][0]["condition"]["comparison"]["right_value"] == {"var": ".x"}
    assert block["else_node"]["workflow_node"]["launchplan_ref"]["name"] == "a.b.lp"
    nodes = (block["case"]["then_node"], block["other"][0]["then_node"], block["else_node"])
    assert [node["id"] for node in nodes] == ["n0", "n1", "n2"]


def test_a_failure_node_may_take_the_error(definitions: Any) -> None:
    """Its input of the error's type is none until the engine fills it; its type is that of flytekit's FlyteError."""
    failure_node = shown(workflow_spec(definitions.choosing).template.failure_node)
    assert failure_node["id"] == "fn0"
    none = {"type": {"simple": "NONE", "structure": {"tag": "none"}}, "value": {"scalar": {"none_type": {}}}}
    assert {one["var"]: one["binding"] for one in failure_node["inputs"]} == {
        "x": {"promise": {"var": "x"}}, "err": {"scalar": {"union": none}}
    }  # fmt: skip
    template = idl.task_spec(definitions.mend, identifier(definitions.mend), PLACE).template
    assert shown(template.interface.inputs.variables["err"].type) == {"union_type": {"variants": [
        {"simple": "ERROR", "structure": {"tag": "FlyteError"}}, {"simple": "NONE", "structure": {"tag": "none"}}
    ]}}  # fmt: skip


def test_registered_entities_are_referred_to(definitions: Any) -> None:
    """As flytekit writes it: by their ids, with the last part of the name as the node's."""
    task, plan = (shown(node) for node in workflow_spec(definitions.all_registered).template.nodes)
    id_of = {"project": "p", "domain": "d", "version": "v"}
    assert task["metadata"] == {"name": "t", "retries": {}}
    assert task["task_node"]["reference_id"] == {"resource_type": "TASK", "name": "a.b.t"} | id_of
    assert plan["metadata"] == {"name": "lp", "retries": {}}
    assert plan["workflow_node"]["launchplan_ref"] == {"resource_type": "LAUNCH_PLAN", "name": "a.b.lp"} | id_of
    assert [entity.name for entity in idl.entities(definitions.all_registered)] == [f"{MODULE}.all_registered"]


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


@pytest.mark.parametrize("name", [*REFERENCES, "bound"])
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
