"""Graphs come out right: edges agree in both directions, everything lies between start and end, size is no obstacle."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import compiler_builders as b
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyteform.compiler import CompileErrors, ErrorKind

if TYPE_CHECKING:
    import random

    from flyteidl.core import workflow_pb2

_MERGE = b.a_task("merge", {"xs": b.list_of(b.INT)}, {"o": b.INT})


@st.composite
def _graphs(draw: st.DrawFn) -> dict[str, tuple[set[str], set[str]]]:
    """Draw an acyclic graph: for each node the nodes that it takes data from, and those that it only waits for."""
    size = draw(st.integers(1, 12))
    names = [f"n{index}" for index in range(size)]
    earlier = [st.sets(st.sampled_from(names[:index])) if index else st.just(set()) for index in range(size)]
    return {name: (draw(earlier[index]), draw(earlier[index])) for index, name in enumerate(names)}


def _template(graph: dict[str, tuple[set[str], set[str]]], order: list[str]) -> workflow_pb2.WorkflowTemplate:
    nodes = [
        b.node(name, "merge", upstream=graph[name][1], xs=b.many(*(b.out(source) for source in sorted(graph[name][0]))))
        for name in order
    ]
    return b.a_template(nodes)


@given(_graphs(), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_edges_of_random_graphs(graph: dict[str, tuple[set[str], set[str]]], shuffler: random.Random) -> None:
    """Upstream and downstream mirror each other, lists are sorted, and no order of the client's nodes matters."""
    order = list(graph)
    shuffler.shuffle(order)
    closure = b.build(_template(graph, order), tasks=[_MERGE])
    up, down = b.upstream(closure), b.downstream(closure)
    assert {(one, two) for one, others in down.items() for two in others} == {
        (one, two) for two, others in up.items() for one in others
    }
    for name, (data, waits) in graph.items():
        assert up[name] == (sorted(data | waits) or ["start-node"])
    assert set(up) == {*graph, "end-node"}
    assert set(down) == {*graph, "start-node"}
    assert up["end-node"] == sorted(name for name in graph if down[name] == ["end-node"])
    assert [node.id for node in closure.primary.template.nodes] == ["start-node", "end-node", *order]


@given(_graphs(), st.data())
@settings(max_examples=50, deadline=None)
def test_a_back_edge_is_found(graph: dict[str, tuple[set[str], set[str]]], data: st.DataObject) -> None:
    """Any edge from a node back to itself or one before it on a path makes a cycle or unreachable nodes."""
    closure = b.build(_template(graph, list(graph)), tasks=[_MERGE])
    down = b.downstream(closure)
    source = data.draw(st.sampled_from(sorted(graph)))
    path = [source]
    while (following := data.draw(st.sampled_from(down[path[-1]]))) != "end-node":
        path.append(following)
    graph[source][1].add(path[-1])
    with pytest.raises(CompileErrors) as caught:
        b.build(_template(graph, list(graph)), tasks=[_MERGE])
    assert caught.value.kinds <= {ErrorKind.CYCLE_DETECTED, ErrorKind.UNREACHABLE_NODES}


def test_orphans_are_tied_to_start_and_end() -> None:
    """A node that nothing feeds and that nothing uses still runs, and the workflow waits for it."""
    closure = b.build(b.a_template([b.node("n0", "quiet")]))
    assert b.upstream(closure) == {"n0": ["start-node"], "end-node": ["n0"]}
    assert b.downstream(closure) == {"n0": ["end-node"], "start-node": ["n0"]}


def test_output_straight_from_an_input() -> None:
    """An output bound to an input of the workflow comes from the start node, in the outputs too."""
    template = b.a_template([b.node("n0", "quiet")], {"x": b.INT}, {"y": b.INT}, {"y": b.out("", "x")})
    closure = b.build(template)
    assert b.downstream(closure)["start-node"] == ["end-node", "n0"]
    assert closure.primary.template.outputs[0].binding.promise.node_id == "start-node"


def test_ten_thousand_nodes_in_a_chain() -> None:
    """Length costs linear time and no stack."""
    nodes = [b.node("n0", "inc", x=b.const(b.integer(1)))]
    nodes += [b.node(f"n{index}", "inc", x=b.out(f"n{index - 1}")) for index in range(1, 10_000)]
    began = time.monotonic()
    closure = b.build(b.a_template(nodes))
    assert len(closure.primary.template.nodes) == 10_002
    assert time.monotonic() - began < 20


def test_ten_thousand_nodes_side_by_side() -> None:
    """Width costs linear time too: all start at once and the end waits for all."""
    nodes = [b.node(f"n{index:05}", "inc", x=b.out("", "x")) for index in range(10_000)]
    began = time.monotonic()
    closure = b.build(b.a_template(nodes, {"x": b.INT}))
    assert len(b.upstream(closure)["end-node"]) == 10_000
    assert time.monotonic() - began < 20


def test_a_thousand_sub_workflows_deep() -> None:
    """Sub-workflows may be nested deeper than any stack."""
    depth = 1500
    subs = [b.a_template([b.calls("n0", f"s{level + 1}")], name=f"s{level}") for level in range(depth)]
    subs.append(b.a_template([b.node("n0", "quiet")], name=f"s{depth}"))
    closure = b.build(b.a_template([b.calls("n0", "s0")]), subs=subs)
    assert all(len(sub.template.nodes) == 3 for sub in closure.sub_workflows)
