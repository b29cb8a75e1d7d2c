"""Nodes of each kind have the interface and the place in the graph that Flyte gives them."""

from __future__ import annotations

import compiler_builders as b
from flyteidl.admin import workflow_pb2 as admin_workflow_pb2
from flyteidl.core import condition_pb2, identifier_pb2, literals_pb2, workflow_pb2

from flyteform.compiler import ErrorKind, IdKey, LaunchPlanInterface, compile_workflow


def _array(
    node_id: str, inner: workflow_pb2.Node, *, original: bool, **inputs: literals_pb2.BindingData
) -> workflow_pb2.Node:
    node = b.node(node_id, **inputs)
    node.array_node.node.CopyFrom(inner)
    node.array_node.is_original_sub_node_interface.value = original
    return node


def _branch(node_id: str, then: workflow_pb2.Node) -> workflow_pb2.Node:
    one = condition_pb2.Operand(primitive=literals_pb2.Primitive(integer=1))
    node = b.node(node_id)
    block = node.branch_node.if_else
    block.case.condition.comparison.CopyFrom(condition_pb2.ComparisonExpression(left_value=one, right_value=one))
    block.case.then_node.CopyFrom(then)
    block.error.message = "nothing fits"
    return node


_XS = b.many(b.const(b.integer(1)))


def test_array_keeps_a_wrapped_interface() -> None:
    """A client that already wrapped the task's variables in lists is taken at its word."""
    mapped = b.a_task("mapped", {"x": b.list_of(b.INT)}, {"o": b.list_of(b.INT)})
    nodes = [_array("n0", b.node("m", "mapped"), original=False, x=_XS), b.node("n1", "total", xs=b.out("n0"))]
    assert b.kinds_of(b.a_template(nodes), tasks=[mapped]) == set()


def test_array_wraps_an_original_interface() -> None:
    """With the original interface of the inner node, inputs and outputs become lists, bound inputs stay whole."""
    pair = b.a_task("pair", {"x": b.INT, "y": b.INT}, {"o": b.INT})
    array = _array("n0", b.node("m", "pair"), original=True, x=_XS, y=b.const(b.integer(2)))
    template = b.a_template([array, b.node("n1", "total", xs=b.out("n0"))])
    assert b.kinds_of(template, tasks=[pair]) == {ErrorKind.MISMATCHING_TYPES}
    template.nodes[0].array_node.bound_inputs.append("y")
    assert b.kinds_of(template, tasks=[pair]) == set()


def test_array_over_a_launch_plan() -> None:
    """An array may run launch plans; their required inputs become lists."""
    plan = b.a_launch_plan("plan", {"x": b.INT}, outputs={"o": b.INT})
    array = _array("n0", b.launches("m", "plan"), original=True, x=_XS)
    template = b.a_template([array, b.node("n1", "total", xs=b.out("n0"))])
    assert b.kinds_of(template, plans=[plan]) == set()


def test_array_over_nothing() -> None:
    """An array without an inner node is refused."""
    array = _array("n0", workflow_pb2.Node(id="m"), original=True)
    assert b.kinds_of(b.a_template([array])) == {ErrorKind.VALUE_REQUIRED}


def test_launch_plan_inputs() -> None:
    """Required inputs must be given, those with defaults may be, fixed and unknown ones may not."""
    plan = b.a_launch_plan("plan", {"x": b.INT}, {"y": b.INT}, {"o": b.INT})
    one = b.const(b.integer(1))

    def kinds(plan: LaunchPlanInterface, **inputs: literals_pb2.BindingData) -> set[ErrorKind]:
        return b.kinds_of(b.a_template([b.launches("n0", "plan", **inputs)]), plans=[plan])

    assert kinds(plan, x=one) == kinds(plan, x=one, y=one) == set()
    assert kinds(plan, y=one) == {ErrorKind.PARAMETER_NOT_BOUND}
    assert kinds(plan, x=one, z=one) == {ErrorKind.VARIABLE_NAME_NOT_FOUND}
    plan.fixed_inputs.literals["y"].scalar.CopyFrom(b.integer(1))
    assert kinds(plan, x=one, y=one) == {ErrorKind.VARIABLE_NAME_NOT_FOUND}


def test_optional_input_needs_no_binding() -> None:
    """An input that may be NONE can be left out."""
    assert b.kinds_of(b.a_template([b.node("n0", "maybe")])) == set()


def test_approval_passes_its_inputs_through() -> None:
    """What goes into an approval comes out under the same names and types."""
    gate = b.node("n1", v=b.out("n0"))
    gate.gate_node.approve.signal_id = "ok"
    nodes = [b.node("n0", "inc", x=b.const(b.integer(1))), gate, b.node("n2", "inc", x=b.out("n1", "v"))]
    closure = b.build(b.a_template(nodes))
    assert b.upstream(closure)["n1"] == ["n0"]
    nodes[2] = b.node("n2", "show", s=b.out("n1", "v"))
    assert b.kinds_of(b.a_template(nodes)) == {ErrorKind.MISMATCHING_VARIABLES}


def test_approval_of_a_part() -> None:
    """A part of an output that is approved comes out with the part's type, not the whole's."""
    gate = b.node("n1", v=b.out("n0", "o", 0))
    gate.gate_node.approve.signal_id = "ok"
    assert b.kinds_of(b.a_template([b.node("n0", "lists"), gate, b.node("n2", "inc", x=b.out("n1", "v"))])) == set()


def test_sleep_and_signal() -> None:
    """A sleep only takes its place in the graph, a signal brings one typed output."""
    sleep, signal = b.node("n0"), b.node("n1", upstream=["n0"])
    sleep.gate_node.sleep.duration.seconds = 5
    signal.gate_node.signal.CopyFrom(
        workflow_pb2.SignalCondition(signal_id="s", type=b.INT, output_variable_name="given")
    )
    closure = b.build(b.a_template([sleep, signal, b.node("n2", "inc", x=b.out("n1", "given"))]))
    assert b.downstream(closure) == {"start-node": ["n0"], "n0": ["n1"], "n1": ["n2"], "n2": ["end-node"]}


def test_declared_upstream_ids_are_sorted() -> None:
    """The order in which a client names upstream nodes does not show in the closure."""
    nodes = [b.node("a", "quiet"), b.node("b", "quiet"), b.node("c", "quiet", upstream=["b", "a"])]
    closure = b.build(b.a_template(nodes))
    assert list(closure.primary.template.nodes[-1].upstream_node_ids) == ["a", "b"]


def test_nodes_inside_a_branch_look_upstream_only() -> None:
    """A node inside a branch is renamed and waits for its sources, which do not wait for it."""
    nodes = [
        b.node("n0", "inc", x=b.const(b.integer(1))),
        _branch("n1", b.node("n2", "inc", x=b.out("n0"))),
    ]
    closure = b.build(b.a_template(nodes))
    assert b.upstream(closure) == {
        "n0": ["start-node"],
        "n1": ["start-node"],
        "n1-n2": ["n0"],
        "end-node": ["n0", "n1"],
    }
    assert b.downstream(closure) == {"start-node": ["n0", "n1"], "n0": ["end-node"], "n1": ["end-node"]}


def test_sentinels_in_a_specification_are_replaced() -> None:
    """A specification made from a closure has start and end nodes already; they are made anew."""
    once = b.build(b.a_template([b.node("n0", "quiet")]))
    assert b.build(once.primary.template) == once


def test_missing_sides_of_interfaces_are_filled() -> None:
    """As in Flyte, the interfaces of the workflow and of tasks that it uses have both sides in the closure."""
    task = b.a_task("half", {}, {"o": b.INT})
    task.template.interface.ClearField("inputs")
    template = b.a_template([b.node("n0", "half")])
    template.ClearField("interface")
    closure = b.build(template, tasks=[task])
    assert closure.primary.template.interface.HasField("outputs")
    assert closure.tasks[0].template.interface.HasField("inputs")
    assert not task.template.interface.HasField("inputs")


def test_task_without_interface() -> None:
    """A task that declares no interface takes and gives nothing, and stays without one."""
    task = b.a_task("bare")
    task.template.ClearField("interface")
    closure = b.build(b.a_template([b.node("n0", "bare")]), tasks=[task])
    assert not closure.tasks[0].template.HasField("interface")


def test_failure_node_looks_upstream_only() -> None:
    """The failure node is no part of the graph that runs: it has upstream edges and must have its inputs."""
    template = b.a_template([b.node("n0", "quiet")], {"x": b.INT})
    template.failure_node.CopyFrom(b.node("fn", "inc", x=b.out("", "x")))
    closure = b.build(template)
    assert b.upstream(closure)["fn"] == ["start-node"]
    assert "fn" not in b.downstream(closure)
    assert "fn" not in b.downstream(closure)["start-node"]
    template.failure_node.CopyFrom(b.node("fn", "inc"))
    assert b.kinds_of(template) == {ErrorKind.PARAMETER_NOT_BOUND}


def test_sub_workflows_keep_their_order_and_unused_ones_stay_raw() -> None:
    """All sub-workflows of a specification are in the closure, in its order; only those that run are compiled."""
    subs = [b.a_template([b.node("n0", "quiet")], name=name) for name in ("unused", "used")]
    closure = b.build(b.a_template([b.calls("a", "used"), b.calls("b", "used")]), subs=subs)
    assert [sub.template.id.name for sub in closure.sub_workflows] == ["unused", "used"]
    assert [sub.HasField("connections") for sub in closure.sub_workflows] == [False, True]


def test_errors_inside_a_sub_workflow_are_found() -> None:
    """A mistake in a sub-workflow fails the workflow that runs it."""
    sub = b.a_template([b.node("n0", "inc")], name="sub")
    assert b.kinds_of(b.a_template([b.calls("n0", "sub")]), subs=[sub]) == {ErrorKind.PARAMETER_NOT_BOUND}


def test_branch_in_a_sub_workflow_with_two_callers() -> None:
    """Flyte compiles a sub-workflow once for each workflow that calls it, which shows in the ids inside branches."""
    inner = b.a_template([_branch("n0", b.node("a", "quiet"))], name="inner")
    middle = b.a_template([b.calls("m", "inner")], name="middle")

    def inside(*nodes: workflow_pb2.Node) -> str:
        closure = b.build(b.a_template(nodes), subs=[inner, middle])
        return closure.sub_workflows[0].template.nodes[2].branch_node.if_else.case.then_node.id

    assert inside(b.calls("x", "inner"), b.calls("y", "inner")) == "n0-a"
    assert inside(b.calls("x", "inner"), b.calls("y", "middle")) == "n0-n0-a"


def test_ids_come_from_the_request() -> None:
    """The closure is registered under the id that was asked for, whatever the specification says."""
    spec = admin_workflow_pb2.WorkflowSpec(template=b.a_template([b.node("n0", "quiet")]))
    tasks = {IdKey.from_message(b.QUIET.template.id): b.QUIET}
    closure = compile_workflow(spec, b.an_id("other"), tasks=tasks, launch_plans={})
    assert closure.primary.template.id == b.an_id("other", identifier_pb2.WORKFLOW)


def test_empty_upstream_id_is_the_start() -> None:
    """An upstream id without text means the start node."""
    closure = b.build(b.a_template([b.node("n0", "quiet", upstream=[""])]))
    assert b.upstream(closure)["n0"] == ["start-node"]


def test_branch_gives_the_outputs_that_all_cases_have() -> None:
    """An output that one case lacks cannot be bound."""
    both = b.a_task("both", {}, {"o": b.INT, "more": b.INT})
    branch = _branch("n0", b.node("a", "both"))
    branch.branch_node.if_else.else_node.CopyFrom(b.node("b", "inc", x=b.const(b.integer(1))))
    assert b.kinds_of(b.a_template([branch, b.node("n1", "inc", x=b.out("n0"))]), tasks=[both]) == set()
    found = b.kinds_of(b.a_template([branch, b.node("n1", "inc", x=b.out("n0", "more"))]), tasks=[both])
    assert found == {ErrorKind.VARIABLE_NAME_NOT_FOUND, ErrorKind.PARAMETER_NOT_BOUND}
