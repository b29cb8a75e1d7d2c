"""Each kind of error is found where it belongs, together with all others, and reads as Flyte's."""

from __future__ import annotations

import itertools

import compiler_builders as b
import pytest
from flyteidl.core import condition_pb2, literals_pb2, types_pb2, workflow_pb2

from flyteform.compiler import CompileErrors, ErrorKind
from flyteform.errors import FlyteformError, InvalidInputError


def _errors(template: workflow_pb2.WorkflowTemplate) -> CompileErrors:
    with pytest.raises(CompileErrors) as caught:
        b.build(template)
    return caught.value


def _with_input(kind: types_pb2.LiteralType, binding: literals_pb2.BindingData) -> set[ErrorKind]:
    """Bind one input of a task; gives the kinds of errors."""
    task = b.a_task("t", {"v": kind})
    source = b.a_task("source", {}, {"o": b.INT, "l": b.list_of(b.INT)})
    nodes = [b.node("s", "source"), b.node("n", "t", v=binding)]
    return b.kinds_of(b.a_template(nodes), tasks=[task, source])


def test_errors_are_collected_sorted_and_in_flytes_text() -> None:
    """Two mistakes in two nodes are both reported, sorted by kind, in the text that clients of Flyte know."""
    error = _errors(b.a_template([b.node("n0", "inc"), b.node("n1", "inc", x=b.const(b.string("a")))]))
    assert error.message == (
        "Collected Errors: 2\n"
        "\tError 0: Code: MismatchingTypes, Node Id: n1, Description: "
        "Variable [x] (type [simple:STRING]) doesn't match expected type [simple:INTEGER].\n"
        "\tError 1: Code: ParameterNotBound, Node Id: n0, Description: Parameter not bound [x].\n"
    )
    assert isinstance(error, InvalidInputError)
    assert isinstance(error, FlyteformError)
    assert not error.retryable
    assert error.remedy


def test_cycle() -> None:
    """A loop that the start reaches is named by its path."""
    nodes = [
        b.node("n0", "inc", x=b.const(b.integer(1))),
        b.node("n1", "total", xs=b.many(b.out("n0"), b.out("n2"))),
        b.node("n2", "inc", x=b.out("n1")),
    ]
    error = _errors(b.a_template(nodes))
    assert [found.kind for found in error.errors] == [ErrorKind.CYCLE_DETECTED]
    assert "[start-node>n0>n1>n2>n1]" in error.message


def test_unreachable_nodes() -> None:
    """A loop that nothing leads into can never run."""
    nodes = [b.node("n0", "inc", x=b.out("n1")), b.node("n1", "inc", x=b.out("n0"))]
    error = _errors(b.a_template(nodes))
    assert [found.kind for found in error.errors] == [ErrorKind.UNREACHABLE_NODES]
    assert "[n0,n1]" in error.message


def test_upstream_id_of_no_node() -> None:
    """A node that waits for one that does not exist would wait for ever."""
    found = b.kinds_of(b.a_template([b.node("n0", "inc", upstream=["gone"], x=b.const(b.integer(1)))]))
    assert ErrorKind.NODE_REFERENCE_NOT_FOUND in found


def test_duplicate_node_id() -> None:
    """Two nodes with one id are refused, not merged."""
    nodes = [b.node("n0", "quiet"), b.node("n0", "quiet")]
    assert b.kinds_of(b.a_template(nodes)) == {ErrorKind.DUPLICATE_ID}


def test_duplicate_sub_workflow() -> None:
    """Two sub-workflows with one id are refused."""
    sub = b.a_template([b.node("n0", "quiet")], name="sub")
    found = b.kinds_of(b.a_template([b.calls("n0", "sub")]), subs=[sub, sub])
    assert found == {ErrorKind.DUPLICATE_ID}


def test_no_nodes() -> None:
    """A workflow without nodes is refused."""
    assert b.kinds_of(b.a_template([])) == {ErrorKind.NO_NODES_FOUND}


def test_unknown_task() -> None:
    """A task that was not given ends compilation early, naming it in full."""
    error = _errors(b.a_template([b.node("n0", "nowhere")]))
    assert [found.kind for found in error.errors] == [ErrorKind.TASK_REFERENCE_NOT_FOUND]
    assert '[resource_type:TASK project:"p" domain:"d" name:"nowhere" version:"v"]' in error.message


@pytest.mark.parametrize("node", [b.launches("n0", "gone"), b.calls("n0", "gone")])
def test_unknown_workflow(node: workflow_pb2.Node) -> None:
    """A launch plan or a sub-workflow that is not there is named."""
    assert b.kinds_of(b.a_template([node])) == {ErrorKind.WORKFLOW_REFERENCE_NOT_FOUND}


def test_workflow_node_without_reference() -> None:
    """A workflow node must say what it runs."""
    node = b.node("n0")
    node.workflow_node.SetInParent()
    assert b.kinds_of(b.a_template([node])) == {ErrorKind.WORKFLOW_REFERENCE_NOT_FOUND}


def test_sub_workflow_in_itself() -> None:
    """Sub-workflows that contain each other are a cycle, not endless work."""
    one = b.a_template([b.calls("n0", "two")], name="one")
    two = b.a_template([b.calls("n0", "one")], name="two")
    assert b.kinds_of(b.a_template([b.calls("n0", "one")]), subs=[one, two]) == {ErrorKind.CYCLE_DETECTED}


def test_sub_workflow_with_too_many_paths() -> None:
    """A sub-workflow with a branch that is reached by very many paths is refused instead of blowing up."""
    names = [f"s{level}" for level in range(12)]
    subs = [
        b.a_template([b.calls("a", f"{inner}a"), b.calls("b", f"{inner}b")], name=f"{outer}{side}")
        for outer, inner in itertools.pairwise(names)
        for side in "ab"
    ]
    subs += [b.a_template([_branch("n0", then=b.node("n1", "quiet"))], name=f"{names[-1]}{side}") for side in "ab"]
    template = b.a_template([b.calls("a", "s0a"), b.calls("b", "s0b")])
    assert b.kinds_of(template, subs=subs) == {ErrorKind.WORKFLOW_BUILD_ERROR}


@pytest.mark.parametrize("make", [workflow_pb2.Node, lambda: b.node("n0")])
def test_node_without_id_or_target(make: type[workflow_pb2.Node]) -> None:
    """A node needs an id and something to run."""
    assert b.kinds_of(b.a_template([make()])) == {ErrorKind.VALUE_REQUIRED}


def test_task_node_without_reference() -> None:
    """A task node must name its task."""
    node = b.node("n0")
    node.task_node.SetInParent()
    assert b.kinds_of(b.a_template([node])) == {ErrorKind.VALUE_REQUIRED}


def test_variable_without_type() -> None:
    """Each input of a workflow has a type."""
    template = b.a_template([b.node("n0", "quiet")])
    template.interface.inputs.variables["x"].description = "no type"
    assert b.kinds_of(template) == {ErrorKind.VALUE_REQUIRED}


def test_sub_workflow_without_interface() -> None:
    """A sub-workflow must say what it takes and gives."""
    sub = b.a_template([b.node("n0", "quiet")], name="sub")
    sub.ClearField("interface")
    assert b.kinds_of(b.a_template([b.calls("n0", "sub")]), subs=[sub]) == {ErrorKind.VALUE_REQUIRED}


def test_binding_without_data() -> None:
    """A binding must have a source, and without it the input is unbound."""
    node = b.node("n0", "inc")
    node.inputs.add(var="x")
    assert b.kinds_of(b.a_template([node])) == {ErrorKind.VALUE_REQUIRED, ErrorKind.PARAMETER_NOT_BOUND}


def test_input_bound_twice() -> None:
    """An input takes one value."""
    node = b.node("n0", "inc", x=b.const(b.integer(1)))
    node.inputs.append(node.inputs[0])
    assert b.kinds_of(b.a_template([node])) == {ErrorKind.PARAMETER_BOUND_MORE_THAN_ONCE}


def test_unbound_output() -> None:
    """A declared output of the workflow needs a source."""
    template = b.a_template([b.node("n0", "quiet")], outputs={"o": b.INT})
    assert b.kinds_of(template) == {ErrorKind.PARAMETER_NOT_BOUND}


def test_unknown_input_and_unknown_output() -> None:
    """Binding an input that the task does not have, or from an output that a node does not have, is found."""
    extra = b.node("n0", "inc", x=b.const(b.integer(1)), y=b.const(b.integer(1)))
    assert b.kinds_of(b.a_template([extra])) == {ErrorKind.VARIABLE_NAME_NOT_FOUND}
    assert _with_input(b.INT, b.out("s", "nothing")) == {
        ErrorKind.VARIABLE_NAME_NOT_FOUND,
        ErrorKind.PARAMETER_NOT_BOUND,
    }


def test_unknown_node() -> None:
    """Binding from a node that is not there is found, under the id that was looked for."""
    found = _errors(b.a_template([b.node("n0", "inc", x=b.out("gone"))])).errors
    assert [(error.kind, error.node_id) for error in found] == [
        (ErrorKind.NODE_REFERENCE_NOT_FOUND, "gone"),
        (ErrorKind.PARAMETER_NOT_BOUND, "n0"),
    ]


def test_promise_of_another_type() -> None:
    """An output of another type is named together with the input that it was given to."""
    source = b.node("n0", "show", s=b.const(b.string("a")))
    target = b.node("n1", "inc", x=b.out("n0"))
    source.metadata.name, target.metadata.name = "show", "inc"
    error = _errors(b.a_template([source, target]))
    assert [found.kind for found in error.errors] == [ErrorKind.MISMATCHING_VARIABLES]
    assert "The output variable 'show.o' has type [simple:STRING]" in error.message
    assert "the input variable 'inc.x'" in error.message


def test_index_into_an_output() -> None:
    """An indexed variable takes an element of a list; of nothing else, and only in the right form."""
    assert _with_input(b.INT, b.out("s", "[0].l")) == set()
    assert _with_input(b.INT, b.out("s", "[0].o")) == {ErrorKind.MISMATCHING_VARIABLES}
    assert _with_input(b.INT, b.out("s", "[x].l")) == {ErrorKind.SYNTAX_ERROR}


def test_attribute_path() -> None:
    """An attribute path leads through lists, maps and dataclasses; a field that is not there is named."""
    box = types_pb2.LiteralType(simple=types_pb2.STRUCT)
    box.structure.dataclass_type["n"].CopyFrom(b.INT)
    box.structure.dataclass_type["tags"].CopyFrom(b.list_of(b.TEXT))
    make = b.a_task("make", {}, {"o": b.map_of(box)})

    def kinds(*path: str | int) -> set[ErrorKind]:
        nodes = [b.node("n0", "make"), b.node("n1", "inc", x=b.out("n0", "o", *path))]
        return b.kinds_of(b.a_template(nodes), tasks=[make])

    assert kinds("key", "n") == set()
    assert kinds("key", "tags", 0) == {ErrorKind.MISMATCHING_VARIABLES}
    assert kinds("key", "gone") == {ErrorKind.FIELD_NOT_FOUND}


def test_list_binding_for_a_plain_input() -> None:
    """Lists and maps of bindings go to list and map inputs only."""
    one = b.const(b.integer(1))
    assert _with_input(b.INT, b.many(one)) == {ErrorKind.MISMATCHING_BINDINGS}
    assert _with_input(b.INT, b.mapping(a=one)) == {ErrorKind.MISMATCHING_BINDINGS}
    assert _with_input(b.INT, literals_pb2.BindingData()) == {ErrorKind.MISMATCHING_BINDINGS}
    assert _with_input(b.list_of(b.INT), b.many(one, b.out("s"))) == set()
    assert _with_input(b.map_of(b.INT), b.mapping(a=one)) == set()
    assert _with_input(b.list_of(b.INT), b.many(b.const(b.string("a")))) == {ErrorKind.MISMATCHING_TYPES}


def test_list_binding_for_a_union() -> None:
    """A list of bindings must fit exactly one variant of a union."""
    ints, texts = b.list_of(b.INT), b.list_of(b.TEXT)
    one = b.many(b.const(b.integer(1)))
    assert _with_input(b.union_of(ints, texts), one) == set()
    assert _with_input(b.union_of(ints, b.list_of(b.INT)), one) == {ErrorKind.AMBIGUOUS_BINDING_UNION_VALUE}
    assert _with_input(b.union_of(texts, b.INT), one) == {ErrorKind.INCOMPATIBLE_BINDING_UNION_VALUE}


def test_enum_member() -> None:
    """A constant for an enum must be a member."""
    assert _with_input(b.COLOUR, b.const(b.string("red"))) == set()
    assert _with_input(b.COLOUR, b.const(b.string("green"))) == {ErrorKind.ILLEGAL_ENUM_VALUE}


def test_constant_of_no_known_type() -> None:
    """A blob that does not say its type cannot be checked."""
    found = _with_input(b.INT, b.const(literals_pb2.Scalar(blob=literals_pb2.Blob(uri="a"))))
    assert found == {ErrorKind.INVALID_LITERAL_TYPE, ErrorKind.UNRECOGNIZED_VALUE}


def test_aliases() -> None:
    """An output has one alias, and an alias belongs to an output."""
    node = b.node("n0", "inc", x=b.const(b.integer(1)))
    node.output_aliases.add(var="o", alias="one")
    renamed = b.node("n1", "inc", x=b.out("n0", "one"))
    assert b.kinds_of(b.a_template([node, renamed])) == set()
    node.output_aliases.add(var="o", alias="two")
    assert b.kinds_of(b.a_template([node])) == {ErrorKind.DUPLICATE_ALIAS}
    node.output_aliases[1].var = "gone"
    assert b.kinds_of(b.a_template([node])) == {ErrorKind.PARAMETER_NOT_BOUND}


def test_gate_conditions() -> None:
    """A gate has a condition, and a signal says the type and the name of what it brings."""
    node = b.node("n0")
    node.gate_node.SetInParent()
    assert b.kinds_of(b.a_template([node])) == {ErrorKind.NO_CONDITION_FOUND}
    node.gate_node.signal.signal_id = "s"
    assert b.kinds_of(b.a_template([node])) == {ErrorKind.VALUE_REQUIRED}
    node.gate_node.signal.type.CopyFrom(b.INT)
    assert b.kinds_of(b.a_template([node])) == {ErrorKind.VALUE_REQUIRED}
    node.gate_node.signal.output_variable_name = "o"
    assert b.kinds_of(b.a_template([node])) == set()


def _operand(**kwargs: object) -> condition_pb2.Operand:
    return condition_pb2.Operand(**kwargs)  # type: ignore[arg-type]


def _condition(left: condition_pb2.Operand, right: condition_pb2.Operand) -> condition_pb2.BooleanExpression:
    comparison = condition_pb2.ComparisonExpression(left_value=left, right_value=right)
    return condition_pb2.BooleanExpression(comparison=comparison)


_ONE = literals_pb2.Primitive(integer=1)
_TRUE = _condition(_operand(primitive=_ONE), _operand(primitive=_ONE))


def _branch(
    node_id: str,
    *,
    then: workflow_pb2.Node | None = None,
    other: workflow_pb2.Node | None = None,
    condition: condition_pb2.BooleanExpression | None = _TRUE,
    with_default: bool = True,
    **inputs: literals_pb2.BindingData,
) -> workflow_pb2.Node:
    """Make a branch of one case and an else node, or an error where there is none."""
    node = b.node(node_id, **inputs)
    block = node.branch_node.if_else
    block.case.SetInParent()
    if condition is not None:
        block.case.condition.CopyFrom(condition)
    if then is not None:
        block.case.then_node.CopyFrom(then)
    if other is not None:
        block.else_node.CopyFrom(other)
    elif with_default:
        block.error.message = "nothing fits"
    return node


def test_branch_parts() -> None:
    """A branch needs a case, a condition, a node to run and something for when nothing holds."""
    quiet = b.node("a", "quiet")
    assert b.kinds_of(b.a_template([_branch("n0", then=quiet)])) == set()
    assert b.kinds_of(b.a_template([_branch("n0", then=quiet, condition=None)])) == {
        ErrorKind.BRANCH_NODE_HAS_NO_CONDITION
    }
    assert b.kinds_of(b.a_template([_branch("n0")])) == {
        ErrorKind.BRANCH_NODE_ID_NOT_FOUND,
        ErrorKind.VALUE_REQUIRED,
    }
    assert b.kinds_of(b.a_template([_branch("n0", then=quiet, with_default=False)])) == {
        ErrorKind.BRANCH_NODE_HAS_NO_DEFAULT
    }


def test_branch_without_anything() -> None:
    """An empty branch node is refused, at each level of emptiness."""
    node = b.node("n0")
    node.branch_node.SetInParent()
    assert b.kinds_of(b.a_template([node])) == {ErrorKind.VALUE_REQUIRED}
    node.branch_node.if_else.error.message = "no case"
    assert b.kinds_of(b.a_template([node])) == {ErrorKind.VALUE_REQUIRED, ErrorKind.BRANCH_NODE_HAS_NO_CONDITION}
    node = _branch("n0", then=b.node("a", "quiet"))
    node.branch_node.if_else.other.add().condition.CopyFrom(_TRUE)
    assert b.kinds_of(b.a_template([node])) == {ErrorKind.VALUE_REQUIRED, ErrorKind.BRANCH_NODE_ID_NOT_FOUND}


def test_branch_outputs_agree() -> None:
    """An output that all cases have must have one type in all of them."""
    one = b.node("a", "inc", x=b.const(b.integer(1)))
    other = b.node("b", "show", s=b.const(b.string("a")))
    error = _errors(b.a_template([_branch("n0", then=one, other=other)]))
    assert {found.kind for found in error.errors} == {ErrorKind.MISMATCHING_TYPES}
    assert error.errors[0].node_id == "n0-b"


def test_condition_operands() -> None:
    """A condition compares like with like, over inputs that the branch binds."""
    quiet = b.node("a", "quiet")

    def kinds(left: condition_pb2.Operand, right: condition_pb2.Operand) -> set[ErrorKind]:
        node = _branch("n0", then=quiet, condition=_condition(left, right), v=b.out("", "x"))
        return b.kinds_of(b.a_template([node], inputs={"x": b.INT}))

    one, text = _operand(primitive=_ONE), _operand(primitive=literals_pb2.Primitive(string_value="a"))
    assert kinds(_operand(var="v"), one) == set()
    assert kinds(_operand(var="v"), text) == {ErrorKind.MISMATCHING_TYPES}
    assert kinds(_operand(scalar=b.integer(1)), one) == set()
    assert kinds(_operand(var="w"), one) == {ErrorKind.VARIABLE_NAME_NOT_FOUND}
    assert kinds(_operand(), one) == {ErrorKind.VALUE_REQUIRED}


def test_condition_over_an_optional() -> None:
    """An optional input may be compared with NONE."""
    optional = b.union_of(b.INT, b.NONE)
    none = _operand(scalar=literals_pb2.Scalar(none_type=literals_pb2.Void()))
    for condition in (_condition(_operand(var="v"), none), _condition(none, _operand(var="v"))):
        node = _branch("n0", then=b.node("a", "quiet"), condition=condition, v=b.out("", "x"))
        assert b.kinds_of(b.a_template([node], inputs={"x": optional})) == set()


def test_condition_without_content() -> None:
    """An expression needs a comparison or a conjunction of two sides, a comparison both operands."""
    quiet = b.node("a", "quiet")
    empty = condition_pb2.BooleanExpression()
    assert b.kinds_of(b.a_template([_branch("n0", then=quiet, condition=empty)])) == {ErrorKind.VALUE_REQUIRED}
    half = condition_pb2.BooleanExpression(conjunction=condition_pb2.ConjunctionExpression(left_expression=_TRUE))
    found = b.kinds_of(b.a_template([_branch("n0", then=quiet, condition=half)]))
    assert found == {ErrorKind.BRANCH_NODE_HAS_NO_CONDITION}
    bare = condition_pb2.BooleanExpression(comparison=condition_pb2.ComparisonExpression())
    assert b.kinds_of(b.a_template([_branch("n0", then=quiet, condition=bare)])) == {ErrorKind.VALUE_REQUIRED}


def test_branch_sees_earlier_nodes_only() -> None:
    """A branch takes its interface from its bindings, so what it binds must come before it."""
    branch = _branch("n0", then=b.node("a", "quiet"), v=b.out("n1"))
    source = b.node("n1", "inc", x=b.const(b.integer(1)))
    assert b.kinds_of(b.a_template([source, branch])) == set()
    found = b.kinds_of(b.a_template([branch, source]))
    assert found == {ErrorKind.NODE_REFERENCE_NOT_FOUND, ErrorKind.PARAMETER_NOT_BOUND}


def test_a_finding_counts_once() -> None:
    """The same mistake met on several ways is one error."""
    broken = b.node("n0", "inc", x=b.const(b.integer(1)))
    users = [b.node(name, "inc", x=b.out("n0", "gone")) for name in ("n1", "n2")]
    error = _errors(b.a_template([broken, *users]))
    assert [found.kind for found in error.errors].count(ErrorKind.VARIABLE_NAME_NOT_FOUND) == 1


def test_vocabulary_is_flytes() -> None:
    """All 32 codes of Flyte's compiler are known by its names."""
    assert len(ErrorKind) == 32
    assert ErrorKind("DuplicateId") is ErrorKind.DUPLICATE_ID
