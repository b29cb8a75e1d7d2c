"""Plans, definitions and their parts, drawn at random: also odd ones, which nobody writes and renderers must bear."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.admin import launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core import literals_pb2, tasks_pb2, types_pb2
from flyteidl.core import workflow_pb2 as core_workflow
from hypothesis import strategies as st

from flyteform.provision.impact.model import Impact, ImpactKind, Severity
from flyteform.provision.model import Action, Address, Change, Desired, FieldChange, Kind, Plan
from flyteform.provision.verdicts import Level, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

Source = int | str  # a value, or NODE.OUTPUT (`inputs.x` is an input of the workflow)


def node(identifier: str, runs: str, *after: str, **inputs: Source) -> core_workflow.Node:
    """Return a node that runs a task; a text among the inputs is where the input comes from."""
    message = core_workflow.Node(id=identifier, upstream_node_ids=after)
    message.task_node.reference_id.resource_type = 1
    message.task_node.reference_id.name = runs
    message.task_node.reference_id.version = "v1"
    for name, source in inputs.items():
        message.inputs.add(var=name, binding=binding(source))
    return message


def binding(source: Source) -> literals_pb2.BindingData:
    """Return where an input comes from."""
    data = literals_pb2.BindingData()
    if isinstance(source, int):
        data.scalar.primitive.integer = source
        return data
    found, _, variable = source.partition(".")
    data.promise.node_id = "start-node" if found == "inputs" else found
    data.promise.var = variable
    return data


def workflow(*nodes: core_workflow.Node, outputs: Mapping[str, Source] | None = None) -> core_workflow.WorkflowTemplate:
    """Return a workflow of these nodes with an integer input x."""
    template = core_workflow.WorkflowTemplate(nodes=nodes)
    template.id.name = "m.w"
    template.interface.inputs.variables["x"].type.simple = types_pb2.INTEGER
    for name, source in (outputs or {}).items():
        template.outputs.add(var=name, binding=binding(source))
        template.interface.outputs.variables[name].type.simple = types_pb2.INTEGER
    return template


TASK_NAMES = st.sampled_from(["m.a", "m.b", "m.c"])
VARIABLES = st.sampled_from(["x", "y", "z"])
SIMPLE = st.sampled_from([types_pb2.INTEGER, types_pb2.STRING, types_pb2.FLOAT, types_pb2.NONE])


@st.composite
def workflows(draw: st.DrawFn, *, numbered: bool | None = None) -> core_workflow.WorkflowTemplate:
    """Draw a workflow whose nodes use what comes before them, numbered or with names of their authors."""
    if numbered is None:
        numbered = draw(st.booleans())
    count = draw(st.integers(0, 6))
    names = [f"n{index}" if numbered else f"step-{index}" for index in range(count)]
    nodes = []
    for index, name in enumerate(names):
        sources = st.one_of(st.integers(0, 3), st.sampled_from(["inputs.x", *(f"{each}.o0" for each in names[:index])]))
        one = node(name, draw(TASK_NAMES), **draw(st.dictionaries(VARIABLES, sources, max_size=3)))
        one.metadata.retries.retries = draw(st.integers(0, 2))
        nodes.append(one)
    outputs = {"o0": f"{names[-1]}.o0"} if names else {}
    return workflow(*nodes, outputs=outputs)


literal_types = st.recursive(
    SIMPLE.map(lambda simple: types_pb2.LiteralType(simple=simple)),
    lambda inner: st.one_of(
        inner.map(lambda each: types_pb2.LiteralType(collection_type=each)),
        inner.map(lambda each: types_pb2.LiteralType(map_value_type=each)),
        st.lists(inner, min_size=1, max_size=3).map(
            lambda each: types_pb2.LiteralType(union_type=types_pb2.UnionType(variants=each))
        ),
    ),
    max_leaves=4,
)


@st.composite
def tasks(draw: st.DrawFn) -> tasks_pb2.TaskTemplate:
    """Draw a task."""
    template = tasks_pb2.TaskTemplate(type=draw(st.sampled_from(["python-task", "spark"])))
    for name, kind in draw(st.dictionaries(VARIABLES, literal_types, max_size=2)).items():
        template.interface.inputs.variables[name].type.CopyFrom(kind)
    for name, kind in draw(st.dictionaries(VARIABLES, literal_types, max_size=2)).items():
        template.interface.outputs.variables[name].type.CopyFrom(kind)
    template.metadata.discoverable = draw(st.booleans())
    template.metadata.discovery_version = draw(st.sampled_from(["", "1", "2"]))
    template.metadata.retries.retries = draw(st.integers(0, 2))
    template.metadata.cache_ignore_input_vars.extend(draw(st.lists(VARIABLES, max_size=2, unique=True)))
    template.container.image = draw(st.sampled_from(["i:1", "i:2"]))
    template.container.args.extend(draw(st.lists(st.sampled_from(["--bundle", "uri", "--task"]), max_size=3)))
    for key, value in draw(st.dictionaries(st.sampled_from(["A", "B"]), st.sampled_from(["1", "2"]))).items():
        template.container.env.add(key=key, value=value)
    if draw(st.booleans()):
        template.custom["workers"] = draw(st.integers(1, 3))
    return template


def task_spec(template: tasks_pb2.TaskTemplate) -> bytes:
    """Return the spec of a task."""
    return task_pb2.TaskSpec(template=template).SerializeToString(deterministic=True)


def workflow_spec(template: core_workflow.WorkflowTemplate) -> bytes:
    """Return the spec of a workflow."""
    return workflow_pb2.WorkflowSpec(template=template).SerializeToString(deterministic=True)


def launch_plan_spec(cron: str = "", **defaults: int) -> launch_plan_pb2.LaunchPlanSpec:
    """Return a launch plan of m.w with a schedule and default inputs."""
    spec = launch_plan_pb2.LaunchPlanSpec()
    spec.workflow_id.name = "m.w"
    spec.workflow_id.resource_type = 2
    if cron:
        spec.entity_metadata.schedule.cron_schedule.schedule = cron
    for name, value in defaults.items():
        parameter = spec.default_inputs.parameters[name]
        parameter.var.type.simple = types_pb2.INTEGER
        parameter.default.scalar.primitive.integer = value
    return spec


# Letters of everywhere, markup of Markdown and HTML, what terminals act on, and nothing that is not text at all.
TEXTS = st.one_of(
    st.text(max_size=20),
    st.text(alphabet="`|<>&*_[]()#@!\\~-\n\r\t \x1b\u202e{}$'\"", max_size=12),
    st.sampled_from(["", "a" * 500, "</details>", "@everyone", "[link](http://x)", "\x1b[31mred", "```\n", "\\|"]),
)
ADDRESSES = st.builds(Address, st.sampled_from(Kind), TEXTS, TEXTS, TEXTS)
FIELDS = st.builds(FieldChange, TEXTS, st.none() | TEXTS, st.none() | TEXTS)
_VALUES = st.one_of(st.none(), st.booleans(), st.integers(), TEXTS, st.lists(TEXTS, max_size=5).map(tuple))
IMPACTS = st.builds(
    Impact,
    st.sampled_from(ImpactKind),
    st.sampled_from(Severity),
    TEXTS,
    st.dictionaries(
        st.sampled_from(["before", "after", "before_firings", "after_firings", "after_kickoff_time_input"]), _VALUES
    ).map(lambda fields: tuple(fields.items())),
)
CHANGES = st.builds(
    Change,
    st.sampled_from(Action),
    ADDRESSES,
    TEXTS,
    st.none() | TEXTS,
    st.none() | TEXTS,
    st.lists(FIELDS, max_size=4).map(tuple),
    st.just(()),
    drift=st.booleans(),
    moved_from=st.none() | ADDRESSES,
    impacts=st.lists(IMPACTS, max_size=3).map(tuple),
    breaking=st.booleans(),
)
VERDICTS = st.builds(Verdict, TEXTS, st.sampled_from(Level), TEXTS, st.lists(ADDRESSES, max_size=2).map(tuple))
PLANS = st.builds(
    Plan,
    TEXTS,
    st.just(Desired()),
    st.lists(CHANGES, max_size=5).map(tuple),
    destroy=st.booleans(),
    requests=st.integers(0, 1000),
    verdicts=st.lists(VERDICTS, max_size=3).map(tuple),
    allow_breaking=st.booleans(),
)
