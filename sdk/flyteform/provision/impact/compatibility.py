"""Whether the callers that there are can use the new version of what they call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform.provision.impact.callers import address_of, calls_of, launch_plan_call
from flyteform.provision.impact.diff import LaunchPlanDefinition, TaskDefinition, WorkflowDefinition, wanted
from flyteform.provision.impact.interfaces import incompatibilities, interface_of, launch_plan_interface, problems
from flyteform.provision.impact.model import Impact, ImpactKind, Severity
from flyteform.provision.model import Address, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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


def judge_interface(
    address: Address, previous: Previous, facts: Facts, entities: Mapping[Address, Entity]
) -> Iterator[Impact]:
    """Yield who can no longer call the entity; a loss that no caller was found for is a warning."""
    after = wanted_interface(address, entities)
    losses = () if after is None else incompatibilities(previous.interface, after)
    if after is None or not losses:
        return
    broken = False
    for call in _calls(address, previous.interface, after, facts, entities):
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


def _calls(
    address: Address, before: Interface, after: Interface, facts: Facts, entities: Mapping[Address, Entity]
) -> Iterator[Call]:
    """Yield the calls by others as they are registered, and those by the declaration as they are declared."""
    for caller, definition in sorted(facts.workflows.items(), key=lambda each: each[0]):
        for call in calls_of(caller, definition, address, before):
            if call.inside not in entities:  # a copy of what is declared here is no caller
                yield call
    if address.kind is Kind.WORKFLOW:
        for launch_plan in facts.launch_plans:
            if address_of(launch_plan.spec.workflow_id) == address and address_of(launch_plan.id) not in entities:
                yield launch_plan_call(launch_plan)
    yield from _declared_calls(address, after, entities)


def _declared_calls(address: Address, after: Interface, entities: Mapping[Address, Entity]) -> Iterator[Call]:
    """Yield the calls by the declaration: they are written for the new interface, so that says what they give."""
    for caller, entity in entities.items():
        if caller.kind is Kind.WORKFLOW and address in entity.depends_on:
            declared = wanted(entity)
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
