"""One workflow template becomes a compiled workflow, in place: start and end nodes, checked nodes, connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core import interface_pb2, workflow_pb2

from flyteform.compiler import text
from flyteform.compiler.bindings import Direction
from flyteform.compiler.building import Build, NodeState, check_interface
from flyteform.compiler.errors import ErrorKind
from flyteform.compiler.graph import END, START, walk
from flyteform.compiler.nodes import add_edges, check_node, is_sentinel

if TYPE_CHECKING:
    from flyteidl.core.compiler_pb2 import CompiledWorkflow

    from flyteform.compiler.building import Library
    from flyteform.compiler.errors import Collector


def compile_template(workflow: CompiledWorkflow, library: Library, errors: Collector) -> None:
    """Compile a workflow without its sub-workflows; findings go to `errors`."""
    template = workflow.template
    build = Build(workflow, library, errors)
    if not template.nodes:
        found = f"Can't find any nodes in workflow [{text.one_line(template.id)}]."
        errors.add(ErrorKind.NO_NODES_FOUND, text.one_line(template.id), found)
        return
    if not check_interface(START, template.interface, errors):
        return
    given = workflow_pb2.WorkflowTemplate(nodes=template.nodes).nodes
    del template.nodes[:]
    _add_sentinels(build)
    for node in given:
        _add_node(build, node)
    _connect(build)
    _check_reach(build)
    build.edges.write(workflow.connections)


def _add_sentinels(build: Build) -> None:
    """Add the node that gives the workflow's inputs and the node that takes its outputs."""
    template = build.workflow.template
    gives = interface_pb2.TypedInterface(outputs=template.interface.inputs)
    takes = interface_pb2.TypedInterface(inputs=template.interface.outputs)
    build.nodes = {
        START: NodeState(template.nodes.add(id=START), gives),
        END: NodeState(template.nodes.add(id=END, inputs=template.outputs), takes),
    }


def _add_node(build: Build, node: workflow_pb2.Node) -> None:
    """Add and check a top-level node; start and end nodes of a template compiled before are replaced by ours."""
    if is_sentinel(node.id):
        return
    if node.id in build.nodes:
        build.errors.add(ErrorKind.DUPLICATE_ID, node.id, "Trying to insert two nodes with the same id.")
        return
    message = build.workflow.template.nodes.add()
    message.CopyFrom(node)
    state = build.nodes[node.id] = NodeState(message)
    check_node(build, state)


def _connect(build: Build) -> None:
    template = build.workflow.template
    for node_id, node in build.nodes.items():
        if node_id != START:
            add_edges(build, node, Direction.BOTH)
    if template.HasField("failure_node"):
        failure = NodeState(template.failure_node)
        check_node(build, failure)
        add_edges(build, failure, Direction.UPSTREAM)
    # Every top-level node runs, and runs before the workflow ends, whether or not data flows through it.
    for node_id in [node_id for node_id in build.nodes if not is_sentinel(node_id)]:
        if node_id not in build.edges.upstream:
            build.edges.add(START, node_id)
        if node_id not in build.edges.downstream:
            build.edges.add(node_id, END)
    del template.outputs[:]
    template.outputs.extend(build.nodes[END].message.inputs)


def _check_reach(build: Build) -> None:
    """Find a cycle, or else nodes that no path from the start leads to."""
    found = walk(START, build.edges.downstream)
    if found.cycle:
        path = ">".join(found.cycle)
        text_ = f"A cycle has been detected while traversing the Workflow [{path}]."
        build.errors.add(ErrorKind.CYCLE_DETECTED, START, text_)
        return
    unreachable = sorted(set(build.nodes) - found.visited - {END})
    if unreachable:
        text_ = f"The Workflow contain unreachable nodes [{','.join(unreachable)}]."
        build.errors.add(ErrorKind.UNREACHABLE_NODES, START, text_)
