"""The semantic difference of workflows: nodes are the same by what they do, and nothing that differs is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from flyteidl.admin import workflow_pb2
from flyteidl.core import compiler_pb2, condition_pb2, types_pb2
from flyteidl.core import workflow_pb2 as core_workflow
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from flyteform.provision.impact.workflows import workflow_differences
from support.plans import node, workflow, workflows

if TYPE_CHECKING:
    import random


def lines(before: core_workflow.WorkflowTemplate, after: core_workflow.WorkflowTemplate) -> list[tuple[str, ...]]:
    """Return the differences as (path, before, after), "" for what is absent."""
    return [(each.path, each.before or "", each.after or "") for each in workflow_differences(before, after)]


CHAIN = workflow(
    node("n0", "m.a", x="inputs.x"), node("n1", "m.b", x="n0.o0"), node("n2", "m.c", x="n1.o0"), outputs={"o0": "n2.o0"}
)


def test_a_node_before_all_others_is_one_node() -> None:
    """Inserting a node moves the numbers of all that follow: it is one new node and one line about the numbers."""
    after = workflow(
        node("n0", "m.z"),
        node("n1", "m.a", x="inputs.x"),
        node("n2", "m.b", x="n1.o0"),
        node("n3", "m.c", x="n2.o0"),
        outputs={"o0": "n3.o0"},
    )
    assert lines(CHAIN, after) == [
        ("nodes.n0", "", "m.z()"),
        ("nodes.numbers", "", "moved: n0→n1, n1→n2, n2→n3"),
    ]


def test_what_is_most_alike_is_the_same_node() -> None:
    """Of two nodes that run the same task, the one that was there has more in common, whatever its number."""
    before = workflow(node("n0", "m.a", x="inputs.x"), node("n1", "m.b", x="n0.o0", y="inputs.x"))
    after = workflow(
        node("n0", "m.b", x="inputs.x", y=1), node("n1", "m.a", x="n0.o0"), node("n2", "m.b", x="n1.o0", y="inputs.x")
    )
    assert lines(before, after) == [
        ("nodes.n0", "", "m.b(x←inputs.x, y=1)"),
        ("nodes.n1.inputs.x", "inputs.x", "n0.o0"),
        ("nodes.numbers", "", "moved: n0→n1, n1→n2"),
    ]
    two = workflow(node("n0", "m.a", x=1, y=1, z=1), node("n1", "m.a", x=2, y=2, z=2))
    swapped = workflow(node("n0", "m.a", x=2, y=2, z=3), node("n1", "m.a", x=1, y=1, z=4))
    assert lines(two, swapped) == [
        ("nodes.n0.inputs.z", "2", "3"),
        ("nodes.n1.inputs.z", "1", "4"),
        ("nodes.numbers", "", "moved: n0→n1, n1→n0"),
    ]


def test_a_node_that_is_renamed_is_one_line() -> None:
    """Another id of a node is one line, and who uses the node is not mentioned."""
    after = workflow(
        node("train", "m.a", x="inputs.x"),
        node("n1", "m.b", x="train.o0"),
        node("n2", "m.c", x="n1.o0"),
        outputs={"o0": "n2.o0"},
    )
    assert lines(CHAIN, after) == [("nodes.train.id", "n0", "train")]


def test_sources_values_and_targets_are_told_apart() -> None:
    """An input that comes from elsewhere, a value that is another, a task in the place of another: one line each."""
    before = workflow(node("a", "m.a", x="inputs.x"), node("b", "m.b", x="a.o0", y=1))
    after = workflow(node("a", "m.a", x="inputs.x"), node("b", "m.c", x="inputs.x", y=2))
    assert lines(before, after) == [
        ("nodes.b.inputs.x", "a.o0", "inputs.x"),
        ("nodes.b.inputs.y", "1", "2"),
        ("nodes.b.runs", "m.b", "m.c"),
    ]


def test_an_edge_without_data_counts() -> None:
    """That a node waits for another whose outputs it does not use is a difference; that it uses them says so itself."""
    before = workflow(node("a", "m.a"), node("b", "m.b"))
    after = workflow(node("a", "m.a"), node("b", "m.b", "a"))
    assert lines(before, after) == [("nodes.b.after", "", "a")]
    uses = workflow(node("a", "m.a"), node("b", "m.b", x="a.o0"))
    says_so_twice = workflow(node("a", "m.a"), node("b", "m.b", "a", x="a.o0"))
    assert lines(uses, says_so_twice) == []


def test_settings_of_a_node_and_of_the_workflow() -> None:
    """Retries, timeout, cache and resources of a node, failure policy and failure node of the workflow are named."""
    after = core_workflow.WorkflowTemplate()
    after.CopyFrom(CHAIN)
    after.nodes[1].metadata.retries.retries = 3
    after.nodes[1].metadata.timeout.FromSeconds(60)
    after.nodes[1].metadata.cache_version = "2"
    after.nodes[1].task_node.overrides.resources.requests.add(name=1, value="2")
    after.metadata.on_failure = core_workflow.WorkflowMetadata.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE
    after.metadata_defaults.interruptible = True
    after.failure_node.CopyFrom(node("fn0", "m.tidy"))
    assert lines(CHAIN, after) == [
        ("nodes.n1.cache_version", "", "2"),
        ("nodes.n1.overrides.resources.requests.CPU", "", "2"),
        ("nodes.n1.retries", "", "3"),
        ("nodes.n1.timeout", "", "60s"),
        ("on_failure", "", "m.tidy()"),
        ("failure_policy", "", "fail_after_executable_nodes_complete"),
        ("interruptible", "", "true"),
    ]
    other = core_workflow.WorkflowTemplate()
    other.CopyFrom(after)
    other.failure_node.metadata.retries.retries = 1
    assert lines(after, other) == [("on_failure.retries", "", "1")]


def branch(operator: int, value: int, then: str, otherwise: str, source: str = "n0") -> core_workflow.Node:
    """Return a branch on the output of a node."""
    message = core_workflow.Node(id="n1")
    variable = f"{source}.o0"
    promise = message.inputs.add(var=variable).binding.promise
    promise.node_id, promise.var = source, "o0"
    block = message.branch_node.if_else
    comparison = block.case.condition.comparison
    comparison.operator = operator  # type: ignore[assignment]
    comparison.left_value.var = variable
    comparison.right_value.primitive.integer = value
    block.case.then_node.CopyFrom(node("n1-n0", then))
    block.else_node.CopyFrom(node("n1-n1", otherwise))
    return message


def test_a_condition_and_what_its_arms_run() -> None:
    """The condition of a branch is shown as written, its arms by what they run; moved numbers alone are no change."""
    greater, less = condition_pb2.ComparisonExpression.GT, condition_pb2.ComparisonExpression.LT
    before = workflow(node("n0", "m.a"), branch(greater, 1, "m.b", "m.c"))
    after = workflow(node("n0", "m.a"), branch(less, 2, "m.b", "m.d"))
    assert lines(before, after) == [
        ("nodes.n1.case[0].if", "n0.o0 > 1", "n0.o0 < 2"),
        ("nodes.n1.else.runs", "m.c", "m.d"),
        ("nodes.n1.runs", "branch to m.b, m.c", "branch to m.b, m.d"),
    ]
    moved = branch(greater, 1, "m.b", "m.c", source="n1")
    moved.id = "n2"
    shifted = workflow(node("n0", "m.z"), node("n1", "m.a"), moved)
    assert [path for path, *_ in lines(before, shifted)] == ["nodes.n0", "nodes.numbers"]


def test_a_map_and_an_approval() -> None:
    """Parallelism of a map and what it runs are named, as is a gate."""

    def array(parallelism: int, runs: str) -> core_workflow.Node:
        message = node("n0", "m.x", x="inputs.x")
        inner = node("item", runs, x="inputs.x")
        message.array_node.node.CopyFrom(inner)
        message.array_node.parallelism = parallelism
        return message

    assert lines(workflow(array(1, "m.a")), workflow(array(2, "m.a"))) == [("nodes.n0.parallelism", "1", "2")]
    assert lines(workflow(array(1, "m.a")), workflow(array(1, "m.b"))) == [("nodes.n0.runs", "map m.a", "map m.b")]
    gate = core_workflow.Node(id="n0")
    gate.gate_node.approve.signal_id = "ok"
    assert lines(workflow(), workflow(gate)) == [
        ("nodes.n0", "", "approval()"),
        ("nodes.n0.approve.signal_id", "", "ok"),
    ]


def test_interfaces_by_name_and_type() -> None:
    """Inputs and outputs that come, go or have another type are named with their types, whatever their order."""
    before, after = workflow(outputs={"a": 1}), workflow(outputs={"b": 1})
    after.interface.inputs.variables["x"].type.simple = types_pb2.STRING
    assert lines(before, after) == [
        ("inputs.x", "int", "str"),
        ("outputs.a", "int", ""),
        ("outputs.b", "", "int"),
        ("outputs.a.from", "1", ""),
        ("outputs.b.from", "", "1"),
    ]


def test_types_that_read_the_same_are_still_told_apart() -> None:
    """Two files of different formats are both called FlyteFile: the difference says what is behind the name."""
    before, after = workflow(), workflow()
    before.interface.inputs.variables["x"].type.blob.format = "csv"
    after.interface.inputs.variables["x"].type.blob.format = "json"
    (found,) = lines(before, after)
    assert "csv" in found[1]
    assert "json" in found[2]


DATA = Path(__file__).parents[2] / "compiler" / "data"
SPECS = {each["template"]["id"]["name"]: each for each in json.loads((DATA / "workflows.json").read_text())}


@pytest.mark.parametrize("path", sorted(DATA.glob("*.closure.json")), ids=lambda path: path.name.partition(".")[0])
def test_what_a_stock_admin_compiles_is_what_the_client_wrote(path: Path) -> None:
    """Closures of FlyteAdmin do not differ from flytekit's specs: branches, maps, gates, failure nodes and all."""
    closure = json_format.ParseDict(json.loads(path.read_text()), compiler_pb2.CompiledWorkflowClosure())
    template = closure.primary.template
    spec = json_format.ParseDict(SPECS[template.id.name], workflow_pb2.WorkflowSpec())
    assert workflow_differences(template, spec.template) == ()
    # And every node of it is named when all of it is new.
    paths = {each.path for each in workflow_differences(core_workflow.WorkflowTemplate(), spec.template)}
    assert {f"nodes.{node.id}" for node in spec.template.nodes} <= paths


@given(workflows())
def test_a_workflow_does_not_differ_from_itself(template: core_workflow.WorkflowTemplate) -> None:
    """The difference of anything with itself is empty, also when the compiler's own nodes were added."""
    compiled = core_workflow.WorkflowTemplate()
    compiled.CopyFrom(template)
    compiled.nodes.add(id="start-node")
    compiled.nodes.add(id="end-node")
    assert workflow_differences(template, template) == ()
    assert workflow_differences(template, compiled) == ()


@given(workflows(numbered=False), st.randoms(use_true_random=False))
def test_order_does_not_count(template: core_workflow.WorkflowTemplate, source: random.Random) -> None:
    """Nodes and bindings in another order are the same workflow."""
    shuffled = core_workflow.WorkflowTemplate()
    shuffled.CopyFrom(template)
    nodes = list(template.nodes)
    source.shuffle(nodes)
    del shuffled.nodes[:]
    for each in nodes:
        copy = shuffled.nodes.add()
        copy.CopyFrom(each)
        inputs = list(each.inputs)
        source.shuffle(inputs)
        del copy.inputs[:]
        copy.inputs.extend(inputs)
    assert workflow_differences(template, shuffled) == ()


@given(workflows(), workflows())
def test_every_difference_is_named(
    before: core_workflow.WorkflowTemplate, after: core_workflow.WorkflowTemplate
) -> None:
    """Two workflows without a difference have the same nodes doing the same: as many, with the same settings."""
    found = workflow_differences(before, after)
    assert found == workflow_differences(before, after)
    if not found:
        assert summary(before) == summary(after)
    paths = [each.path for each in found]
    assert len(paths) == len(set(paths))


def summary(template: core_workflow.WorkflowTemplate) -> list[tuple[object, ...]]:
    """Return what the nodes do, apart from numbers."""
    return sorted(
        (each.task_node.reference_id.name, each.metadata.retries.retries, len(each.inputs)) for each in template.nodes
    )


@given(workflows(numbered=True), st.integers(0, 6))
def test_a_node_is_added_by_a_line_wherever_it_is_put(template: core_workflow.WorkflowTemplate, at: int) -> None:
    """Whatever the workflow is, a new node in it is one line, besides the one for numbers that moved."""
    at = min(at, len(template.nodes))

    def moved(name: str) -> str:
        index = int(name.removeprefix("n")) if name.startswith("n") and name[1:].isdigit() else None
        return name if index is None or index < at else f"n{index + 1}"

    after = core_workflow.WorkflowTemplate()
    after.CopyFrom(template)
    for each in after.nodes:
        each.id = moved(each.id)
        for bound in each.inputs:
            bound.binding.promise.node_id = (
                moved(bound.binding.promise.node_id) if bound.binding.promise.node_id else ""
            )
            if not bound.binding.promise.node_id:
                bound.binding.ClearField("promise")
    for output in after.outputs:
        output.binding.promise.node_id = moved(output.binding.promise.node_id)
    for old, new in zip(template.nodes, after.nodes, strict=True):
        for one, other in zip(old.inputs, new.inputs, strict=True):
            if one.binding.WhichOneof("value") == "scalar":
                other.binding.CopyFrom(one.binding)
    after.nodes.insert(at, node(f"n{at}", "m.new", x=7))
    changed = [each.path for each in workflow_differences(template, after)]
    assert [path for path in changed if path != "nodes.numbers"] == [f"nodes.n{at}"]
