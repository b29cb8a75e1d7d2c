"""Whether the callers that there are can use the new version of what they call."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteform.provision.impact.callers import address_of, called_by, calls_of, launch_plan_call
from flyteform.provision.impact.diff import LaunchPlanDefinition, TaskDefinition, WorkflowDefinition, wanted
from flyteform.provision.impact.interfaces import incompatibilities, interface_of, launch_plan_interface, problems
from flyteform.provision.impact.model import Impact, ImpactKind, Severity
from flyteform.provision.model import Address, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flyteidl.core import interface_pb2

    from flyteform.provision.impact.callers import Call
    from flyteform.provision.impact.facts import Facts, Previous
    from flyteform.provision.impact.interfaces import Interface
    from flyteform.provision.model import Entity


def wanted_interface(address: Address, entities: Mapping[Address, Entity]) -> Interface | None:
    """Return what callers will see of a declared entity; None if only the platform knows.

    The default launch plan of a workflow holds the defaults of its inputs: SDKs give those to callers that give none.
    """
    entity = entities[address]
    if not entity.spec:
        return None
    match wanted(entity):
        case TaskDefinition(template):
            return interface_of(template.interface)
        case WorkflowDefinition(template):
            return interface_of(template.interface, _defaults(address, entities))
        case LaunchPlanDefinition(spec):
            workflow = _workflow_interface(address_of(spec.workflow_id), entities)
            return None if workflow is None else launch_plan_interface(spec, workflow)


@dataclass(frozen=True, slots=True)
class Callers:
    """Who calls what: workflows as others have registered them, and workflows as they are declared."""

    others: Mapping[Address, tuple[Address, ...]]
    declared: Mapping[Address, tuple[Address, ...]]


def callers_of(facts: Facts, entities: Mapping[Address, Entity]) -> Callers:
    """Find out once who calls what, as there may be thousands of both."""
    others = {caller: called_by(definition) for caller, definition in facts.workflows.items()}
    declared = {caller: each.depends_on for caller, each in entities.items() if caller.kind is Kind.WORKFLOW}
    return Callers(_inverted(others), _inverted(declared))


def _inverted(calls: Mapping[Address, Iterable[Address]]) -> dict[Address, tuple[Address, ...]]:
    found: defaultdict[Address, list[Address]] = defaultdict(list)
    for caller, all_called in calls.items():
        for called in all_called:
            found[called].append(caller)
    return {called: tuple(sorted(users)) for called, users in found.items()}


def judge_interface(
    address: Address, previous: Previous, facts: Facts, entities: Mapping[Address, Entity], callers: Callers
) -> Iterator[Impact]:
    """Yield who can no longer call the entity; a loss that no caller was found for is a warning."""
    after = wanted_interface(address, entities)
    losses = () if after is None else incompatibilities(previous.interface, after)
    if after is None or not losses:
        return
    broken = False
    calls = itertools.chain(
        _others_calls(address, previous.interface, facts, entities, callers),
        _declared_calls(address, after, entities, callers),
    )
    for call in calls:
        if found := problems(previous.interface, after, call.usage):
            broken = True
            yield _breaking(call, found)
    if not broken and not _follows_its_workflow(entities[address], facts):
        unread = f"; {facts.unread} more workflows were not looked at" if facts.unread else ""
        message = f"the interface is not compatible: {', '.join(losses)}; no caller of that was found{unread}"
        yield Impact(ImpactKind.INTERFACE, Severity.WARNING, message, (("losses", losses), ("unread", facts.unread)))


def may_break(address: Address, previous: Previous, entities: Mapping[Address, Entity]) -> bool:
    """Tell whether callers have to be looked for at all."""
    after = wanted_interface(address, entities)
    return after is not None and bool(incompatibilities(previous.interface, after))


def _breaking(call: Call, found: tuple[str, ...]) -> Impact:
    fields = (
        ("caller_kind", call.address.kind.value),
        ("caller_project", call.address.project),
        ("caller_domain", call.address.domain),
        ("caller_name", call.address.name),
        ("caller_scheduled", call.scheduled),
        ("problems", found),
    )
    return Impact(ImpactKind.INTERFACE, Severity.BREAKING, f"breaks {call.caller}: {', '.join(found)}", fields)


def _follows_its_workflow(entity: Entity, facts: Facts) -> bool:
    """Tell whether the workflow of a launch plan changes too: what is lost is said there."""
    definition = wanted(entity)
    return isinstance(definition, LaunchPlanDefinition) and address_of(definition.spec.workflow_id) in facts.previous


def _others_calls(
    address: Address, before: Interface, facts: Facts, entities: Mapping[Address, Entity], callers: Callers
) -> Iterator[Call]:
    """Yield the calls by others as they are registered."""
    for caller in callers.others.get(address, ()):
        for call in calls_of(caller, facts.workflows[caller], address, before):
            if call.inside not in entities:  # a copy of what is declared here is no caller
                yield call
    if address.kind is Kind.WORKFLOW:
        for launch_plan in facts.launch_plans:
            if address_of(launch_plan.spec.workflow_id) == address and address_of(launch_plan.id) not in entities:
                yield launch_plan_call(launch_plan)


def _declared_calls(
    address: Address, after: Interface, entities: Mapping[Address, Entity], callers: Callers
) -> Iterator[Call]:
    """Yield the calls by the declaration: they are written for the new interface, so that says what they give."""
    for caller in callers.declared.get(address, ()):
        declared = wanted(entities[caller])
        if isinstance(declared, WorkflowDefinition):
            yield from calls_of(caller, declared, address, after)


def _defaults(workflow: Address, entities: Mapping[Address, Entity]) -> frozenset[str]:
    default = entities.get(Address(Kind.LAUNCH_PLAN, workflow.project, workflow.domain, workflow.name))
    if default is None:
        return frozenset()
    definition = wanted(default)
    if not isinstance(definition, LaunchPlanDefinition):
        return frozenset()
    parameters = definition.spec.default_inputs.parameters
    return frozenset(name for name, each in parameters.items() if each.WhichOneof("behavior") == "default")


def _workflow_interface(address: Address, entities: Mapping[Address, Entity]) -> interface_pb2.TypedInterface | None:
    entity = entities.get(address)
    definition = wanted(entity) if entity is not None and entity.spec else None
    return definition.template.interface if isinstance(definition, WorkflowDefinition) else None
