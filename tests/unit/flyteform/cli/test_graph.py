"""`flyteform graph`: drawings of declarations and workflows that no name can break, the same every time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyteform.cli.main import main
from flyteform.errors import NotFoundError
from flyteform.provision.drawing import Box, Drawing, Edge, Shape, dot, mermaid, resource_drawing, workflow_drawing
from flyteform.provision.model import Address, Desired, Entity, Kind
from support.declarations import PLACE, write_project
from support.plans import TEXTS, node, workflow, workflow_spec

if TYPE_CHECKING:
    from pathlib import Path

    from flyteidl.core.workflow_pb2 import WorkflowTemplate


def declared(template: WorkflowTemplate, name: str = "m.w") -> Desired:
    """Return a declaration of a workflow."""
    return Desired(entities=(Entity(Address(Kind.WORKFLOW, "p", "d", name), "v1", workflow_spec(template)),))


def test_resources_point_to_what_they_need(tmp_path: Path) -> None:
    """Each declared resource is a box, with arrows to what it calls and to its project."""
    from flyteform.provision.desired import declare

    drawing = resource_drawing(declare(write_project(tmp_path), PLACE))
    names = {"project acme", *(f"task tasks.{name} in acme/development" for name in ("add", "double"))}
    names |= {f"launch plan {name} in acme/development" for name in ("nightly", "tasks.total")}
    assert {box.key for box in drawing.boxes} == names | {"workflow tasks.total in acme/development"}
    found = {(edge.source, edge.target) for edge in drawing.edges}
    assert ("launch plan nightly in acme/development", "workflow tasks.total in acme/development") in found
    assert ("workflow tasks.total in acme/development", "task tasks.add in acme/development") in found
    assert ("task tasks.add in acme/development", "project acme") in found


def test_nodes_show_what_flows() -> None:
    """A workflow's inputs, nodes and outputs are boxes; arrows have the names of the inputs that they lead to."""
    template = workflow(
        node("a", "m.a", x="inputs.x"), node("b", "m.b", "c", y="a.o0"), node("c", "m.c", z=1), outputs={"o": "b.o0"}
    )
    template.failure_node.CopyFrom(node("fn", "m.tidy"))
    drawing = workflow_drawing(declared(template), "w")
    assert [box.label for box in drawing.boxes] == ["inputs", "a\nm.a", "b\nm.b", "c\nm.c", "fn\nm.tidy", "outputs"]
    assert set(drawing.edges) == {
        Edge("start-node", "a", "x"),
        Edge("a", "b", "y"),
        Edge("c", "b"),
        Edge("b", "end-node", "o"),
        Edge("start-node", "fn", "on failure"),
    }


def test_branches_show_their_conditions() -> None:
    """A branch is a diamond whose arrows have the conditions."""
    branch = node("n1", "m.x")
    branch.ClearField("task_node")
    block = branch.branch_node.if_else
    block.case.condition.comparison.left_value.var = "x"
    block.case.condition.comparison.right_value.primitive.integer = 1
    block.case.then_node.CopyFrom(node("n2", "m.a"))
    block.else_node.CopyFrom(node("n3", "m.b"))
    drawing = workflow_drawing(declared(workflow(branch)), "m.w")
    assert Box("n1", "n1\nbranch", Shape.DIAMOND) in drawing.boxes
    assert set(drawing.edges) == {
        Edge("n1", "n1/case[0]/n2", "x == 1"),
        Edge("n1", "n1/else/n3", "else"),
    }


def test_a_workflow_that_is_not_there_names_those_that_are() -> None:
    """An unknown or ambiguous name is an error with the names that there are."""
    with pytest.raises(NotFoundError, match="there is no workflow 'x'"):
        workflow_drawing(declared(workflow()), "x")
    both = Desired(entities=(*declared(workflow(), "a.w").entities, *declared(workflow(), "b.w").entities))
    with pytest.raises(NotFoundError, match=r"'w' may be a\.w or b\.w"):
        workflow_drawing(both, "w")


@st.composite
def drawings(draw: st.DrawFn) -> Drawing:
    """Draw boxes with any names, and arrows between them."""
    keys = draw(st.lists(TEXTS, min_size=1, max_size=4, unique=True))
    boxes = tuple(Box(key, draw(TEXTS), draw(st.sampled_from(Shape))) for key in keys)
    edges = draw(st.lists(st.builds(Edge, st.sampled_from(keys), st.sampled_from(keys), TEXTS), max_size=4))
    return Drawing(boxes, tuple(edges))


@settings(max_examples=60)
@given(drawings())
def test_names_do_not_get_out_of_their_quotes(drawing: Drawing) -> None:
    """In both languages each line is a statement of its form, whatever the names are."""
    quoted = r'"(?:[^"\\\n]|\\.)*"'
    statements = dot(drawing).removesuffix("\n").split("\n")
    assert len(statements) == 4 + len(drawing.boxes) + len(drawing.edges)
    for line in statements[3:-1]:
        assert re.fullmatch(rf"  {quoted} (?:\[label={quoted}, shape=\w+\]|-> {quoted}(?: \[label={quoted}\])?);", line)
    plain = r'"(?:[^"<>`]|<br/>)*"'
    lines = mermaid(drawing).removesuffix("\n").split("\n")
    assert len(lines) == 1 + len(drawing.boxes) + len(drawing.edges)
    for line in lines[1:]:
        assert re.fullmatch(rf"  b\d+(?:[\[({{]+{plain}[\])}}]+| -->(?:\|{plain}\|)? b\d+)", line), line


def test_the_command_writes_the_same_every_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command needs no platform; both forms, one workflow of it, and a file to write to."""
    path = str(write_project(tmp_path))

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["graph", path, *arguments])
        assert ended.value.code == 0
        return capsys.readouterr().out

    assert run() == run()
    assert run().startswith("digraph {\n")
    nodes = run("--workflow", "total", "--format", "mermaid")
    assert nodes.startswith("flowchart LR\n")
    assert '["n0<br/>tasks.double"]' in nodes
    run("--out", str(tmp_path / "graph.dot"))
    assert (tmp_path / "graph.dot").read_text() == run()
