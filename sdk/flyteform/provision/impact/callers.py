"""Who calls what: the nodes of workflows that run a task, a workflow or a launch plan, and how they use it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flyteidl.core import types_pb2

from flyteform.compiler import type_of_literal
from flyteform.provision.identifiers import RESOURCE_TYPES
from flyteform.provision.impact.interfaces import Usage
from flyteform.provision.impact.nodes import arms, references
from flyteform.provision.impact.workflows import all_nodes
from flyteform.provision.model import Address, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flyteidl.admin import launch_plan_pb2
    from flyteidl.core import identifier_pb2, literals_pb2
    from flyteidl.core.types_pb2 import LiteralType
    from flyteidl.core.workflow_pb2 import Node, WorkflowTemplate

    from flyteform.provision.impact.diff import WorkflowDefinition
    from flyteform.provision.impact.interfaces import Interface

_KINDS = {number: kind for kind, number in RESOURCE_TYPES.items()}


@dataclass(frozen=True, slots=True)
class Call:
    """One place that calls something: who, in words, and how.

    `inside` is the sub-workflow of the caller in which the call is made.
    """

    caller: str
    address: Address
    usage: Usage
    inside: Address | None = None
    scheduled: bool = False


def address_of(identifier: identifier_pb2.Identifier) -> Address:
    """Return the address of what an identifier names."""
    kind = _KINDS.get(identifier.resource_type, Kind.TASK)
    return Address(kind, identifier.project, identifier.domain, identifier.name)


def called_by(definition: WorkflowDefinition) -> frozenset[Address]:
    """Return all that a workflow, or one of those inside of it, runs."""
    return frozenset(
        address_of(each)
        for template in (definition.template, *definition.sub_workflows)
        for node, _ in _runners(template)
        for each in references(node)
    )


def calls_of(caller: Address, definition: WorkflowDefinition, called: Address, interface: Interface) -> Iterator[Call]:
    """Yield how a workflow uses what is `called`, in its own nodes and in those of the workflows inside of it.

    `interface` is the one that the workflow was written for.
    """
    for template in (definition.template, *definition.sub_workflows):
        inside = None if template is definition.template else replace(address_of(template.id), kind=Kind.WORKFLOW)
        words = "" if inside is None else f" (in {inside.name})"
        found = [each for each in _runners(template) if any(_is(called, one) for one in references(each[0]))]
        used = _uses(template) if found else {}
        for node, ids in found:
            takes = [output for each in ids for output in used.get(each, ())]
            usage = Usage(_gives(node, template, interface), _takes(takes, interface))
            yield Call(f"node {node.id}{words} of {caller}", caller, usage, inside)


def launch_plan_call(launch_plan: launch_plan_pb2.LaunchPlan) -> Call:
    """Return how a launch plan uses its workflow; without a schedule its user may give what it does not."""
    spec = launch_plan.spec
    gives = {
        name: each.default
        for name, each in spec.default_inputs.parameters.items()
        if each.WhichOneof("behavior") == "default"
    } | dict(spec.fixed_inputs.literals)
    types = {name: found for name, literal in gives.items() if (found := type_of_literal(literal)) is not None}
    schedule = spec.entity_metadata.schedule
    if schedule.kickoff_time_input_arg:
        types[schedule.kickoff_time_input_arg] = types_pb2.LiteralType(simple=types_pb2.DATETIME)
    scheduled = schedule.WhichOneof("ScheduleExpression") is not None
    address = address_of(launch_plan.id)
    words = "scheduled " if scheduled else ""
    return Call(f"the {words}{address}", address, Usage(types, complete=scheduled), scheduled=scheduled)


def _is(called: Address, reference: identifier_pb2.Identifier) -> bool:
    return (called.kind, called.project, called.domain, called.name) == (
        _KINDS.get(reference.resource_type),
        reference.project,
        reference.domain,
        reference.name,
    )


def _runners(template: WorkflowTemplate) -> Iterator[tuple[Node, tuple[str, ...]]]:
    """Yield what runs something, with the ids by which its outputs are used: a branch stands for its arms."""
    waiting: list[tuple[Node, tuple[str, ...]]] = [(node, (node.id,)) for node in template.nodes]
    if template.HasField("failure_node"):
        waiting.append((template.failure_node, (template.failure_node.id,)))
    while waiting:
        node, ids = waiting.pop(0)
        if node.WhichOneof("target") == "branch_node":
            waiting += [(inner, ids) for _, inner in arms(node.branch_node.if_else)]
        else:
            yield node, ids


def _gives(node: Node, template: WorkflowTemplate, interface: Interface) -> dict[str, LiteralType]:
    """Return the types that a node gives.

    What is not known exactly is taken to be what the interface says that the workflow was written for; so are the
    lists that an array takes, as the interface has the types of their items.
    """
    is_array = node.WhichOneof("target") == "array_node"
    found: dict[str, LiteralType] = {}
    for binding in node.inputs:
        known = None if is_array else _binding_type(binding.binding, template)
        declared = interface.inputs.get(binding.var)
        if known is not None:
            found[binding.var] = known
        elif declared is not None:
            found[binding.var] = declared.type
    return found


def _takes(names: Iterable[str], interface: Interface) -> dict[str, tuple[LiteralType, ...]]:
    return {name: (interface.outputs[name],) for name in names if name in interface.outputs}


def _binding_type(binding: literals_pb2.BindingData, template: WorkflowTemplate) -> LiteralType | None:
    """Return the type of what is bound where that is plain: the workflow's own inputs."""
    if binding.WhichOneof("value") != "promise" or binding.promise.attr_path:
        return None
    if binding.promise.node_id not in ("", "start-node"):
        return None
    variable = template.interface.inputs.variables.get(binding.promise.var)
    return None if variable is None else variable.type


def _uses(template: WorkflowTemplate) -> Mapping[str, dict[str, None]]:
    """Return the outputs that are used, by the id of their node."""
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    bindings = [each.binding for node in all_nodes(template) for each in node.inputs]
    for binding in (*bindings, *(each.binding for each in template.outputs)):
        for promise in _promises(binding):
            found[promise.node_id][promise.var] = None
    return found


def _promises(binding: literals_pb2.BindingData) -> Iterator[types_pb2.OutputReference]:
    match binding.WhichOneof("value"):
        case "promise":
            yield binding.promise
        case "collection":
            for each in binding.collection.bindings:
                yield from _promises(each)
        case "map":
            for each in binding.map.bindings.values():
                yield from _promises(each)
        case _:
            return
