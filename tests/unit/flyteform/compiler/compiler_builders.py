"""Short ways to write specifications in tests: types, tasks, nodes, bindings, workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.admin import workflow_pb2 as admin_workflow_pb2
from flyteidl.core import (
    compiler_pb2,
    identifier_pb2,
    interface_pb2,
    literals_pb2,
    tasks_pb2,
    types_pb2,
    workflow_pb2,
)

from flyteform.compiler import CompileErrors, ErrorKind, IdKey, LaunchPlanInterface, compile_workflow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flyteidl.core.compiler_pb2 import CompiledTask, CompiledWorkflowClosure
    from flyteidl.core.identifier_pb2 import Identifier
    from flyteidl.core.literals_pb2 import BindingData, Scalar
    from flyteidl.core.types_pb2 import LiteralType
    from flyteidl.core.workflow_pb2 import Node

Types = dict[str, types_pb2.LiteralType]

INT = types_pb2.LiteralType(simple=types_pb2.INTEGER)
FLOAT = types_pb2.LiteralType(simple=types_pb2.FLOAT)
TEXT = types_pb2.LiteralType(simple=types_pb2.STRING)
FLAG = types_pb2.LiteralType(simple=types_pb2.BOOLEAN)
NONE = types_pb2.LiteralType(simple=types_pb2.NONE)
STRUCT = types_pb2.LiteralType(simple=types_pb2.STRUCT)
COLOUR = types_pb2.LiteralType(enum_type=types_pb2.EnumType(values=["red", "blue"]))


def list_of(element: LiteralType) -> LiteralType:
    """Make a list type."""
    return types_pb2.LiteralType(collection_type=element)


def map_of(element: LiteralType) -> LiteralType:
    """Make a map type."""
    return types_pb2.LiteralType(map_value_type=element)


def union_of(*variants: LiteralType) -> LiteralType:
    """Make a union type."""
    return types_pb2.LiteralType(union_type=types_pb2.UnionType(variants=variants))


def tagged(kind: LiteralType, tag: str) -> LiteralType:
    """Copy a type with the tag that a union's variant has."""
    copy = types_pb2.LiteralType()
    copy.CopyFrom(kind)
    copy.structure.tag = tag
    return copy


def an_id(name: str, kind: int = identifier_pb2.TASK) -> Identifier:
    """Make an identifier in one project, domain and version."""
    return IdKey(kind, "p", "d", name, "v").to_message()


def interface(inputs: Types | None = None, outputs: Types | None = None) -> interface_pb2.TypedInterface:
    """Make an interface."""
    made = interface_pb2.TypedInterface()
    for side, types in ((made.inputs, inputs), (made.outputs, outputs)):
        side.SetInParent()
        for name, kind in (types or {}).items():
            side.variables[name].type.CopyFrom(kind)
    return made


def a_task(name: str, inputs: Types | None = None, outputs: Types | None = None) -> CompiledTask:
    """Make a compiled task."""
    template = tasks_pb2.TaskTemplate(id=an_id(name), type="python-task", interface=interface(inputs, outputs))
    return compiler_pb2.CompiledTask(template=template)


def integer(value: int) -> Scalar:
    """Make an integer scalar."""
    return literals_pb2.Scalar(primitive=literals_pb2.Primitive(integer=value))


def string(value: str) -> Scalar:
    """Make a string scalar."""
    return literals_pb2.Scalar(primitive=literals_pb2.Primitive(string_value=value))


def const(scalar: Scalar) -> BindingData:
    """Bind a constant."""
    return literals_pb2.BindingData(scalar=scalar)


def out(node_id: str, var: str = "o", *path: str | int) -> BindingData:
    """Bind the output of a node (an input of the workflow when the node is empty), perhaps a part of it."""
    attributes = [
        types_pb2.PromiseAttribute(string_value=step)
        if isinstance(step, str)
        else types_pb2.PromiseAttribute(int_value=step)
        for step in path
    ]
    promise = types_pb2.OutputReference(node_id=node_id, var=var, attr_path=attributes)
    return literals_pb2.BindingData(promise=promise)


def many(*items: BindingData) -> BindingData:
    """Bind a list of bindings."""
    return literals_pb2.BindingData(collection=literals_pb2.BindingDataCollection(bindings=items))


def mapping(**items: BindingData) -> BindingData:
    """Bind a map of bindings."""
    return literals_pb2.BindingData(map=literals_pb2.BindingDataMap(bindings=items))


def bindings(given: Mapping[str, BindingData]) -> list[literals_pb2.Binding]:
    """Make the bindings of a node's inputs or a workflow's outputs."""
    return [literals_pb2.Binding(var=name, binding=data) for name, data in given.items()]


def node(node_id: str, task: str | None = None, /, *, upstream: Iterable[str] = (), **inputs: BindingData) -> Node:
    """Make a node; it runs `task` if one is named."""
    made = workflow_pb2.Node(id=node_id, inputs=bindings(inputs), upstream_node_ids=upstream)
    if task is not None:
        made.task_node.reference_id.CopyFrom(an_id(task))
    return made


def calls(node_id: str, workflow: str, /, **inputs: BindingData) -> Node:
    """Make a node that runs a sub-workflow."""
    made = node(node_id, **inputs)
    made.workflow_node.sub_workflow_ref.CopyFrom(an_id(workflow, identifier_pb2.WORKFLOW))
    return made


def launches(node_id: str, plan: str, /, **inputs: BindingData) -> Node:
    """Make a node that starts a launch plan."""
    made = node(node_id, **inputs)
    made.workflow_node.launchplan_ref.CopyFrom(an_id(plan, identifier_pb2.LAUNCH_PLAN))
    return made


def a_template(
    nodes: Iterable[Node],
    inputs: Types | None = None,
    outputs: Types | None = None,
    bound: Mapping[str, BindingData] | None = None,
    name: str = "wf",
) -> workflow_pb2.WorkflowTemplate:
    """Make a workflow template."""
    return workflow_pb2.WorkflowTemplate(
        id=an_id(name, identifier_pb2.WORKFLOW),
        nodes=nodes,
        interface=interface(inputs, outputs),
        outputs=bindings(bound or {}),
    )


def a_launch_plan(
    name: str, required: Types, defaults: Types | None = None, outputs: Types | None = None
) -> LaunchPlanInterface:
    """Make the interface of a launch plan; `defaults` names inputs that need not be given."""
    expected = interface_pb2.ParameterMap()
    for names, is_required in ((required, True), (defaults or {}, False)):
        for var, kind in names.items():
            expected.parameters[var].var.type.CopyFrom(kind)
            if is_required:
                expected.parameters[var].required = True
            else:
                expected.parameters[var].default.scalar.CopyFrom(integer(1))
    fixed = literals_pb2.LiteralMap()
    plan_id = an_id(name, identifier_pb2.LAUNCH_PLAN)
    return LaunchPlanInterface(plan_id, expected, fixed, interface(outputs=outputs).outputs)


# The tasks that most tests use.
INC = a_task("inc", {"x": INT}, {"o": INT})
SHOW = a_task("show", {"s": TEXT}, {"o": TEXT})
TOTAL = a_task("total", {"xs": list_of(INT)}, {"o": INT})
MAYBE = a_task("maybe", {"x": union_of(tagged(INT, "int"), tagged(NONE, "none"))}, {"o": INT})
QUIET = a_task("quiet")
LISTS = a_task("lists", {}, {"o": list_of(INT), "m": map_of(TEXT)})
PAINT = a_task("paint", {"c": COLOUR}, {"o": COLOUR})
TASKS = [INC, SHOW, TOTAL, MAYBE, QUIET, LISTS, PAINT]


def build(
    template: workflow_pb2.WorkflowTemplate,
    *,
    tasks: Iterable[CompiledTask] = (),
    plans: Iterable[LaunchPlanInterface] = (),
    subs: Iterable[workflow_pb2.WorkflowTemplate] = (),
) -> CompiledWorkflowClosure:
    """Compile a template with the tasks above and some more."""
    spec = admin_workflow_pb2.WorkflowSpec(template=template, sub_workflows=subs)
    known = {IdKey.from_message(task.template.id): task for task in [*TASKS, *tasks]}
    known_plans = {IdKey.from_message(plan.id): plan for plan in plans}
    return compile_workflow(spec, template.id, tasks=known, launch_plans=known_plans)


def kinds_of(
    template: workflow_pb2.WorkflowTemplate,
    *,
    tasks: Iterable[CompiledTask] = (),
    plans: Iterable[LaunchPlanInterface] = (),
    subs: Iterable[workflow_pb2.WorkflowTemplate] = (),
) -> set[ErrorKind]:
    """Give the kinds of errors that compiling brings; empty when it compiles."""
    try:
        build(template, tasks=tasks, plans=plans, subs=subs)
    except CompileErrors as error:
        return set(error.kinds)
    return set()


def upstream(closure: CompiledWorkflowClosure) -> dict[str, list[str]]:
    """Give the upstream lists of the primary workflow."""
    return {node_id: list(ids.ids) for node_id, ids in closure.primary.connections.upstream.items()}


def downstream(closure: CompiledWorkflowClosure) -> dict[str, list[str]]:
    """Give the downstream lists of the primary workflow."""
    return {node_id: list(ids.ids) for node_id, ids in closure.primary.connections.downstream.items()}
