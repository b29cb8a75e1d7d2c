"""Who calls what, node by node: branches, maps, sub-workflows, failure nodes, and launch plans with what they give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flyteidl.admin import launch_plan_pb2
from flyteidl.core import types_pb2
from flyteidl.core import workflow_pb2 as core_workflow
from flyteidl.core.types_pb2 import LiteralType

from flyteform.provision.impact.callers import called_by, calls_of, launch_plan_call
from flyteform.provision.impact.diff import WorkflowDefinition
from flyteform.provision.impact.interfaces import Input, Interface
from flyteform.provision.model import Address, Kind
from support.plans import launch_plan_spec, node, workflow

if TYPE_CHECKING:
    from flyteform.provision.impact.callers import Call

INT, STR = LiteralType(simple=types_pb2.INTEGER), LiteralType(simple=types_pb2.STRING)
CALLED = Address(Kind.TASK, "p", "d", "m.a")
CALLER = Address(Kind.WORKFLOW, "p", "d", "m.w")
INTERFACE = Interface({"x": Input(INT, True), "s": Input(STR, True)}, {"o0": INT, "o1": INT})


def runs(identifier: str, name: str = "m.a", **inputs: int | str) -> core_workflow.Node:
    """Return a node that runs a task of p/d."""
    message = node(identifier, name, **inputs)
    message.task_node.reference_id.project, message.task_node.reference_id.domain = "p", "d"
    return message


def calls(*nodes: core_workflow.Node, outputs: dict[str, int | str] | None = None) -> list[Call]:
    """Return how a workflow of these nodes calls the task."""
    return list(calls_of(CALLER, WorkflowDefinition(workflow(*nodes, outputs=outputs)), CALLED, INTERFACE))


def test_what_a_node_gives_and_what_is_used_of_it() -> None:
    """Inputs by the type of a plain source, else as the interface has it; outputs that somebody uses."""
    (call,) = calls(
        runs("n0", x="inputs.x", s="n1.o0"), runs("n1", "m.b"), runs("n2", "m.b", y="n0.o0"), outputs={"o": "n0.o1"}
    )
    assert call.caller == "node n0 of workflow m.w in p/d"
    assert call.usage.gives == {"x": INT, "s": STR}
    assert call.usage.takes == {"o0": (INT,), "o1": (INT,)}
    assert call.usage.complete


def test_an_input_is_judged_by_what_is_really_given() -> None:
    """A workflow's own input has its own type, whatever the task takes."""
    (call,) = calls(runs("n0", s="inputs.x"))
    assert call.usage.gives == {"s": INT}


def test_nodes_in_arms_are_used_through_their_branch() -> None:
    """Each arm is a call; what is used of the branch is used of it, and another node with its number is not it."""
    branch = node("n1", "m.b")
    branch.ClearField("task_node")
    branch.branch_node.if_else.case.then_node.CopyFrom(runs("n0", x=1))
    branch.branch_node.if_else.else_node.CopyFrom(runs("n2", x=2))
    found = calls(runs("n0", "m.b"), branch, runs("n3", "m.b", y="n1.o0", z="n0.o1"))
    assert [call.caller for call in found] == ["node n0 of workflow m.w in p/d", "node n2 of workflow m.w in p/d"]
    assert [call.usage.takes for call in found] == [{"o0": (INT,)}, {"o0": (INT,)}]


def test_maps_and_failure_nodes_call_too() -> None:
    """A map gives lists and is judged by their items; the failure node is a caller like others."""
    array = node("n0", "m.b", x="inputs.x")
    array.array_node.node.CopyFrom(runs("item", x="inputs.x"))
    template = workflow(array)
    template.failure_node.CopyFrom(runs("fn0", x=1))
    found = list(calls_of(CALLER, WorkflowDefinition(template), CALLED, INTERFACE))
    assert [call.caller for call in found] == ["node n0 of workflow m.w in p/d", "node fn0 of workflow m.w in p/d"]
    assert found[0].usage.gives == {"x": INT}
    assert CALLED in called_by(WorkflowDefinition(template))


def test_calls_inside_of_sub_workflows_say_where() -> None:
    """What a workflow that runs inside of another calls is the other's call as well, with its place."""
    inner = workflow(runs("n5", x=1))
    inner.id.project, inner.id.domain, inner.id.name = "p", "d", "m.inner"
    definition = WorkflowDefinition(workflow(), (inner,))
    (call,) = calls_of(CALLER, definition, CALLED, INTERFACE)
    assert call.caller == "node n5 (in m.inner) of workflow m.w in p/d"
    assert call.inside == Address(Kind.WORKFLOW, "p", "d", "m.inner")
    assert called_by(definition) == {CALLED}


@pytest.mark.parametrize("field", ["project", "domain", "name"])
def test_what_is_called_alike_elsewhere_is_another(field: str) -> None:
    """Project, domain and name have to be the same."""
    other = runs("n0")
    setattr(other.task_node.reference_id, field, "other")
    assert calls(other) == []


def test_launch_plans_by_what_they_give() -> None:
    """Defaults and fixed inputs by the types of their values; only a schedule leaves nobody to give the rest."""
    plan = launch_plan_pb2.LaunchPlan(spec=launch_plan_spec(x=1))
    plan.spec.fixed_inputs.literals["s"].scalar.primitive.string_value = "a"
    plan.id.resource_type, plan.id.project, plan.id.domain, plan.id.name = 3, "p", "d", "theirs"
    call = launch_plan_call(plan)
    assert (call.usage.gives, call.usage.complete, call.scheduled) == ({"x": INT, "s": STR}, False, False)
    plan.spec.entity_metadata.schedule.cron_schedule.schedule = "0 3 * * *"
    plan.spec.entity_metadata.schedule.kickoff_time_input_arg = "at"
    call = launch_plan_call(plan)
    assert (call.usage.complete, call.scheduled) == (True, True)
    assert call.usage.gives["at"] == LiteralType(simple=types_pb2.DATETIME)
    assert call.caller == "the scheduled launch plan theirs in p/d"
