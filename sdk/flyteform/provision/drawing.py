"""Graphs of a declaration: its resources and what each needs, or the nodes of one workflow and what flows between them.

The same declaration gives the same text; names are escaped, whatever they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from flyteform.errors import NotFoundError
from flyteform.provision.impact.diff import WorkflowDefinition, wanted
from flyteform.provision.impact.nodes import IMPLICIT, START, arms, runs_text, sources
from flyteform.provision.model import Kind, project_address
from flyteform.provision.text import condition_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flyteidl.core.workflow_pb2 import Node, WorkflowTemplate

    from flyteform.provision.model import Address, Desired


class Shape(StrEnum):
    """How a box is drawn, by what it stands for."""

    BOX = "box"
    ROUND = "ellipse"
    DIAMOND = "diamond"
    END = "oval"


@dataclass(frozen=True, slots=True)
class Box:
    """One node of a drawing; `key` is what edges name it by."""

    key: str
    label: str
    shape: Shape = Shape.BOX


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """An arrow from one box to another."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """Boxes and arrows."""

    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]


_SHAPES = {Kind.PROJECT: Shape.ROUND, Kind.LAUNCH_PLAN: Shape.END, Kind.WORKFLOW: Shape.DIAMOND}
_MERMAID = {
    Shape.BOX: ('["', '"]'),
    Shape.ROUND: ('(["', '"])'),
    Shape.DIAMOND: ('{{"', '"}}'),
    Shape.END: ('("', '")'),
}
_OUTPUTS = "end-node"
# Mermaid reads entity codes in labels; everything else that it might act on is written as one.
_PLAIN = re.compile(r"[^\w .,/()=→←:-]")


def resource_drawing(desired: Desired) -> Drawing:
    """Draw all resources; an arrow leads from each to what it needs."""
    declared = desired.addresses
    needs = [
        *((each.address, each.depends_on) for each in desired.entities),
        *((each.address, each.depends_on) for each in desired.settings),
        *((address, options.depends_on) for address, options in desired.options.items()),
        *((address, (project_address(address.project),)) for address in declared if address.kind is not Kind.PROJECT),
    ]
    edges = {Edge(str(user), str(used)) for user, all_used in needs for used in all_used if used in declared}
    boxes = (Box(str(each), _resource_label(each), _SHAPES.get(each.kind, Shape.BOX)) for each in sorted(declared))
    return Drawing(tuple(boxes), tuple(sorted(edges)))


def workflow_drawing(desired: Desired, name: str) -> Drawing:
    """Draw the nodes of a workflow; `name` may leave out the module. `NotFoundError` if none or several are meant."""
    template = _template(desired, name)
    boxes = [Box(START, "inputs", Shape.END)]
    edges: set[Edge] = set()
    for node in (each for each in template.nodes if each.id not in IMPLICIT):
        boxes += _boxes(node)
        edges |= set(_edges(node))
    if template.HasField("failure_node"):
        boxes += _boxes(template.failure_node)
        edges.add(Edge(START, template.failure_node.id, "on failure"))
    boxes.append(Box(_OUTPUTS, "outputs", Shape.END))
    for output in template.outputs:
        edges |= {Edge(source or START, _OUTPUTS, output.var) for source in sources(output.binding)}
    known = {box.key for box in boxes}
    return Drawing(tuple(boxes), tuple(sorted(each for each in edges if {each.source, each.target} <= known)))


def dot(drawing: Drawing) -> str:
    """Write a drawing for Graphviz."""
    lines = ["digraph {", "  rankdir=LR;", '  node [fontname="sans-serif"];']
    lines += [
        f"  {_quoted(each.key)} [label={_quoted(each.label)}, shape={each.shape.value}];" for each in drawing.boxes
    ]
    lines += [
        f"  {_quoted(each.source)} -> {_quoted(each.target)}"
        + (f" [label={_quoted(each.label)}];" if each.label else ";")
        for each in drawing.edges
    ]
    return "\n".join([*lines, "}", ""])


def mermaid(drawing: Drawing) -> str:
    """Write a drawing for Mermaid, as Markdown of GitHub and GitLab shows it."""
    keys = {each.key: f"b{index}" for index, each in enumerate(drawing.boxes)}
    lines = ["flowchart LR"]
    for each in drawing.boxes:
        opening, closing = _MERMAID[each.shape]
        lines.append(f"  {keys[each.key]}{opening}{_entities(each.label)}{closing}")
    for edge in drawing.edges:
        label = f'|"{_entities(edge.label)}"|' if edge.label else ""
        lines.append(f"  {keys[edge.source]} -->{label} {keys[edge.target]}")
    return "\n".join([*lines, ""])


def _resource_label(address: Address) -> str:
    place = f"\n{address.project}/{address.domain}" if address.domain else ""
    return f"{address.kind.label}\n{address.name}{place}"


def _template(desired: Desired, name: str) -> WorkflowTemplate:
    entities = [each for each in desired.entities if each.address.kind is Kind.WORKFLOW and each.spec]
    found = [each for each in entities if each.address.name == name] or [
        each for each in entities if each.address.name.endswith(f".{name}")
    ]
    names = sorted({each.address.name for each in found})
    if len(names) != 1:
        known = ", ".join(sorted({each.address.name for each in entities})) or "none"
        problem = f"{name!r} may be {' or '.join(names)}" if names else f"there is no workflow {name!r}"
        raise NotFoundError(problem, remedy=f"declared are: {known}")
    definition = wanted(found[0])
    if not isinstance(definition, WorkflowDefinition):
        raise NotFoundError(f"{name!r} is no workflow")
    return definition.template


def _boxes(node: Node, inside: str = "") -> Iterator[Box]:
    """Yield the box of a node; those in the arms of a branch have ids of their own, which may be used outside too."""
    key = f"{inside}{node.id}"
    if node.WhichOneof("target") == "branch_node":
        yield Box(key, f"{node.id}\nbranch", Shape.DIAMOND)
        for label, inner in arms(node.branch_node.if_else):
            yield from _boxes(inner, f"{key}/{label}/")
    else:
        yield Box(key, f"{node.id}\n{runs_text(node)}")


def _edges(node: Node, inside: str = "") -> Iterator[Edge]:
    """Yield what flows into a node, what it waits for, and which way a branch goes."""
    used, key = set(), f"{inside}{node.id}"
    for binding in node.inputs:
        for source in sources(binding.binding):
            used.add(source or START)
            yield Edge(source or START, key, binding.var.removeprefix("."))
    for source in sorted(set(node.upstream_node_ids) - used - IMPLICIT - {""}):
        yield Edge(source, key)
    if node.WhichOneof("target") == "branch_node":
        yield from _arm_edges(node, key)


def _arm_edges(node: Node, key: str) -> Iterator[Edge]:
    block = node.branch_node.if_else
    conditions = [condition_text(arm.condition) for arm in (block.case, *block.other)]
    for condition, (label, inner) in zip([*conditions, "else"], arms(block), strict=False):
        yield Edge(key, f"{key}/{label}/{inner.id}", condition)
        yield from _edges(inner, f"{key}/{label}/")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", " ") + '"'


def _entities(text: str) -> str:
    lines: Iterable[str] = (
        _PLAIN.sub(lambda found: f"#{ord(found[0])};", line.replace("\r", " ")) for line in text.split("\n")
    )
    return "<br/>".join(lines)
