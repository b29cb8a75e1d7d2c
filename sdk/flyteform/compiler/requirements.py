"""What a workflow refers to: the tasks and launch plans that must be looked up before it can be compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteform.compiler.ids import IdKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flyteidl.admin.workflow_pb2 import WorkflowSpec
    from flyteidl.core.workflow_pb2 import IfElseBlock, Node, WorkflowTemplate


@dataclass(frozen=True, slots=True)
class Requirements:
    """The identifiers that a workflow and its sub-workflows use, each once and sorted."""

    tasks: tuple[IdKey, ...]
    launch_plans: tuple[IdKey, ...]


@dataclass(frozen=True, slots=True)
class References:
    """What one workflow's own nodes use; a sub-workflow maps to the id of the first node that calls it."""

    tasks: frozenset[IdKey]
    launch_plans: frozenset[IdKey]
    sub_workflows: Mapping[IdKey, str]
    has_branch: bool


def requirements(spec: WorkflowSpec) -> Requirements:
    """Collect what `spec` needs, following its inline sub-workflows; unknown sub-workflows are left to compilation."""
    known = {IdKey.from_message(template.id): template for template in spec.sub_workflows}
    return combine(survey(spec.template, known))


def survey(primary: WorkflowTemplate, subs: Mapping[IdKey, WorkflowTemplate]) -> dict[IdKey, References]:
    """Collect what a workflow and each known sub-workflow that it reaches use, by the id of the user."""
    uses: dict[IdKey, References] = {}
    pending = [(IdKey.from_message(primary.id), primary)]
    while pending:
        key, template = pending.pop()
        uses[key] = references(template)
        pending.extend((sub, subs[sub]) for sub in uses[key].sub_workflows if sub in subs and sub not in uses)
    return uses


def combine(uses: Mapping[IdKey, References]) -> Requirements:
    """Join what several workflows use."""
    tasks = {key for own in uses.values() for key in own.tasks}
    launch_plans = {key for own in uses.values() for key in own.launch_plans}
    return Requirements(tuple(sorted(tasks)), tuple(sorted(launch_plans)))


def references(template: WorkflowTemplate) -> References:
    """Collect what the nodes of one template use, without following sub-workflows."""
    tasks: set[IdKey] = set()
    launch_plans: set[IdKey] = set()
    sub_workflows: dict[IdKey, str] = {}
    has_branch = False
    for node in _all_nodes(template):
        has_branch = has_branch or node.HasField("branch_node")
        if node.task_node.HasField("reference_id"):
            tasks.add(IdKey.from_message(node.task_node.reference_id))
        elif node.workflow_node.HasField("launchplan_ref"):
            launch_plans.add(IdKey.from_message(node.workflow_node.launchplan_ref))
        elif node.workflow_node.HasField("sub_workflow_ref"):
            sub_workflows.setdefault(IdKey.from_message(node.workflow_node.sub_workflow_ref), node.id)
    return References(frozenset(tasks), frozenset(launch_plans), sub_workflows, has_branch)


def branch_cases(block: IfElseBlock) -> Iterator[Node]:
    """Give the nodes inside a branch in order: if, else-ifs, else; cases without a node are left out."""
    for case in (block.case, *block.other):
        if case.HasField("then_node"):
            yield case.then_node
    if block.HasField("else_node"):
        yield block.else_node


def _all_nodes(template: WorkflowTemplate) -> Iterator[Node]:
    """Give every node, those inside branches and arrays included, and the failure node."""
    pending = list(reversed(template.nodes))
    if template.HasField("failure_node"):
        pending.append(template.failure_node)
    while pending:
        node = pending.pop()
        yield node
        if node.HasField("branch_node"):
            pending.extend(branch_cases(node.branch_node.if_else))
        elif node.HasField("array_node"):
            pending.append(node.array_node.node)
