"""One node of a workflow: its interface, its outputs, what is inside it, and its edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform.compiler.bindings import Direction, bind_inputs
from flyteform.compiler.branches import check_branch
from flyteform.compiler.errors import ErrorKind
from flyteform.compiler.graph import END, START
from flyteform.compiler.interfaces import find_interface
from flyteform.compiler.outputs import check_outputs

if TYPE_CHECKING:
    from flyteform.compiler.building import Build, NodeState


def check_node(build: Build, node: NodeState) -> bool:
    """Check everything about a node but the bindings of a top-level node, which may point to later nodes.

    Branch and approve nodes take their interface from their bindings, so those may only point to earlier nodes.
    """
    before = len(build.errors)
    if not node.id:
        build.errors.value_required("<node>", "Id")
    if find_interface(build, node):
        check_outputs(node, build.errors)
    _sort_upstream_ids(node)
    if node.message.HasField("branch_node") and node.message.branch_node.HasField("if_else"):
        _check_inside(build, node)
    return len(build.errors) == before


def add_edges(build: Build, node: NodeState, direction: Direction) -> None:
    """Add the declared edges and those that bindings imply; a node without an interface has none."""
    if node.interface is None:
        return
    if direction is Direction.BOTH:
        for upstream in node.message.upstream_node_ids:
            if upstream and upstream not in build.nodes:
                found = f"Referenced node [{upstream}] not found."
                build.errors.add(ErrorKind.NODE_REFERENCE_NOT_FOUND, node.id, found)
            build.edges.add(upstream, node.id)
    bind_inputs(build, node, node.interface.inputs.variables, direction)


def _check_inside(build: Build, node: NodeState) -> None:
    before = len(build.errors)
    check_branch(build, node)
    sound = [inner for inner in node.inner if check_node(build, inner)]
    if len(build.errors) == before:
        for inner in sound:
            add_edges(build, inner, Direction.UPSTREAM)


def _sort_upstream_ids(node: NodeState) -> None:
    """Put the declared upstream ids in order, so that the result does not depend on the client's."""
    ordered = sorted(node.message.upstream_node_ids)
    del node.message.upstream_node_ids[:]
    node.message.upstream_node_ids.extend(ordered)


def is_sentinel(node_id: str) -> bool:
    """Say whether an id is that of the start or end node, which the compiler adds itself."""
    return node_id in (START, END)
