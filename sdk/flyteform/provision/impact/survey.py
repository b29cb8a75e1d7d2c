"""Ask the platform what the judgement of a plan needs: only about what changes, in a bounded number of calls."""

from __future__ import annotations

import asyncio
import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, TypeVar

from flyteidl.admin import launch_plan_pb2
from flyteidl.core import tasks_pb2, workflow_pb2
from flyteidl.core.identifier_pb2 import WORKFLOW
from flyteidl.datacatalog import datacatalog_pb2

from flyteform.client.catalog import count_artifacts
from flyteform.client.errors import AccessDeniedError, UnsupportedError
from flyteform.errors import InvalidInputError, UnavailableError
from flyteform.provision.identifiers import identifier_of
from flyteform.provision.impact.cache import dataset_of
from flyteform.provision.impact.callers import address_of
from flyteform.provision.impact.compatibility import may_break
from flyteform.provision.impact.diff import LaunchPlanDefinition, TaskDefinition, WorkflowDefinition, compiled_workflow
from flyteform.provision.impact.facts import Count, Facts, InFlight, Previous
from flyteform.provision.impact.interfaces import Input, Interface, interface_of, launch_plan_interface
from flyteform.provision.model import REGISTRATIONS, REMOVALS, Action, Address, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Iterable, Iterator, Mapping, Sequence

    from flyteform.client.admin import AdminClient
    from flyteform.provision.impact.facts import CacheDataset
    from flyteform.provision.model import Change, Desired, Entity
    from flyteform.provision.observed import Observed

MOST_CALLERS = 300  # workflows that are read to find callers, per project and domain
MOST_NAMES = 5_000  # names of workflows that are listed for that
MOST_CACHED = 500  # cached results that are counted, per task
MOST_DATASETS = 1_000  # tasks whose cached results are counted: nobody reads more
MOST_EXECUTIONS = 200  # executions in flight that are counted, per hundred names
_CHUNK = 100
_NAMES_SHOWN = 5
_IN_FLIGHT = "value_in(phase,UNDEFINED;QUEUED;RUNNING;SUCCEEDING;FAILING;ABORTING)"
_ARCHIVED = 1
_PLAIN = re.compile(r"[^\s;,()+]+")  # filters have no quoting; what stands out of the plain is not compared in depth

Place = tuple[str, str]
Result = TypeVar("Result")


async def survey(client: AdminClient, desired: Desired, observed: Observed, changes: Collection[Change]) -> Facts:
    """Gather the facts about what changes.

    For a hundred changed launch plans of one project and domain it takes two calls for what they were, for each hundred
    names one for the executions in flight, and for a cached task that changes one or more for what is cached. Callers
    are looked for only if an interface changes so that some might break.
    """
    touched, entities = tuple(changes), {entity.address: entity for entity in desired.entities}
    interfaces, active, referenced = await asyncio.gather(
        _launch_plan_interfaces(client, touched), _active(client, touched), _referenced(client, touched, entities)
    )
    previous = _previous(observed, touched, interfaces)
    breaking = [
        address for address, each in previous.items() if address in entities and may_break(address, each, entities)
    ]
    (workflows, unread), launch_plans, cached, in_flight = await asyncio.gather(
        _others(client, breaking, entities.keys()),
        _launch_plans(client, breaking),
        _cached(client, touched, previous),
        _in_flight(client, touched),
    )
    return Facts(previous, workflows, unread, launch_plans, active, referenced, cached, in_flight)


def _followers(changes: Iterable[Change]) -> Iterator[Change]:
    """Yield the new versions of what there was before."""
    return (change for change in changes if change.action in REGISTRATIONS and change.previous)


def _previous(
    observed: Observed, changes: Iterable[Change], interfaces: Mapping[Address, Interface]
) -> dict[Address, Previous]:
    """Return what the new versions follow, as it was read already."""
    found: dict[Address, Previous] = {}
    for change in _followers(changes):
        latest = observed.latest.get(change.address) or observed.latest.get(change.moved_from or change.address)
        if latest is None or latest.version != change.previous or not latest.spec:
            continue
        match change.address.kind:
            case Kind.TASK:
                template = tasks_pb2.TaskTemplate.FromString(latest.spec)
                each = Previous(latest.version, TaskDefinition(template), interface_of(template.interface))
            case Kind.WORKFLOW:
                graph = workflow_pb2.WorkflowTemplate.FromString(latest.spec)
                each = Previous(latest.version, WorkflowDefinition(graph), interface_of(graph.interface))
            case _:
                spec = launch_plan_pb2.LaunchPlanSpec.FromString(latest.spec)
                interface = interfaces.get(change.address, launch_plan_interface(spec, None))
                each = Previous(latest.version, LaunchPlanDefinition(spec), interface)
        found[change.address] = each
    return {address: _with_defaults(address, each, found) for address, each in found.items()}


async def _launch_plan_interfaces(client: AdminClient, changes: Iterable[Change]) -> dict[Address, Interface]:
    """Read what callers see of the launch plans that new versions follow."""
    versions = {
        change.address: change.previous or ""
        for change in _followers(changes)
        if change.address.kind is Kind.LAUNCH_PLAN and change.moved_from is None
    }
    return {address: _seen(plan) for address, plan in (await _launch_plan_versions(client, versions)).items()}


async def _referenced(
    client: AdminClient, changes: Iterable[Change], entities: Mapping[Address, Entity]
) -> dict[Address, launch_plan_pb2.LaunchPlan]:
    """Read the launch plans that are declared by their version alone, where that is to be the active one."""
    versions = {
        change.address: change.version or ""
        for change in changes
        if change.action is Action.ACTIVATE and change.address in entities and not entities[change.address].spec
    }
    return await _launch_plan_versions(client, versions)


async def _launch_plan_versions(
    client: AdminClient, versions: Mapping[Address, str]
) -> dict[Address, launch_plan_pb2.LaunchPlan]:
    async def read(place: Place, chunk: Sequence[str]) -> list[launch_plan_pb2.LaunchPlan]:
        wanted = sorted({versions[Address(Kind.LAUNCH_PLAN, *place, name)] for name in chunk})
        filters = f"{_names(chunk)}+{_names(wanted, 'version')}"
        return [plan async for plan in client.list_launch_plans(*place, filters=filters)]

    plain = [address for address, version in versions.items() if _PLAIN.fullmatch(version)]
    found = await _gather(read(place, chunk) for place, chunk in _by_place(plain))
    return {
        address_of(plan.id): plan
        for part in found
        for plan in part
        if versions.get(address_of(plan.id)) == plan.id.version
    }


def _seen(plan: launch_plan_pb2.LaunchPlan) -> Interface:
    """Return what callers see of a registered launch plan."""
    inputs = {
        name: Input(each.var.type, each.required)
        for name, each in plan.closure.expected_inputs.parameters.items()
        if name not in plan.spec.fixed_inputs.literals
    }
    outputs = {name: each.type for name, each in plan.closure.expected_outputs.variables.items()}
    return Interface(inputs, outputs)


def _with_defaults(address: Address, found: Previous, previous: Mapping[Address, Previous]) -> Previous:
    """Tell which inputs of a workflow had defaults: its default launch plan has them."""
    default = previous.get(Address(Kind.LAUNCH_PLAN, address.project, address.domain, address.name))
    if address.kind is not Kind.WORKFLOW or default is None:
        return found
    optional = {name for name, each in default.interface.inputs.items() if not each.required}
    inputs = {
        name: Input(each.type, each.required and name not in optional) for name, each in found.interface.inputs.items()
    }
    return Previous(found.version, found.definition, Interface(inputs, found.interface.outputs))


async def _active(client: AdminClient, changes: Iterable[Change]) -> dict[Address, launch_plan_pb2.LaunchPlan]:
    """Read the active versions of the launch plans that are activated or deactivated."""
    touched = [change.address for change in changes if change.action in (Action.ACTIVATE, Action.DEACTIVATE)]

    async def read(place: Place, chunk: Sequence[str]) -> list[launch_plan_pb2.LaunchPlan]:
        return [plan async for plan in client.list_launch_plans(*place, filters=f"{_names(chunk)}+eq(state,1)")]

    found = await _gather(read(place, chunk) for place, chunk in _by_place(touched))
    return {address_of(plan.id): plan for part in found for plan in part}


async def _launch_plans(client: AdminClient, changed: Iterable[Address]) -> tuple[launch_plan_pb2.LaunchPlan, ...]:
    """Read the active launch plans of workflows, whoever declares them."""

    async def read(place: Place, chunk: Sequence[str]) -> list[launch_plan_pb2.LaunchPlan]:
        filters = f"{_names(chunk, 'workflow.name')}+eq(state,1)"
        return [plan async for plan in client.list_launch_plans(*place, filters=filters)]

    workflows = [address for address in changed if address.kind is Kind.WORKFLOW]
    found = await _gather(read(place, chunk) for place, chunk in _by_place(workflows))
    return tuple(sorted((plan for part in found for plan in part), key=lambda plan: address_of(plan.id)))


async def _others(
    client: AdminClient, changed: Collection[Address], declared: Collection[Address]
) -> tuple[dict[Address, WorkflowDefinition], int]:
    """Read the newest versions of the workflows that others have registered where something may break."""
    found: dict[Address, WorkflowDefinition] = {}
    unread = 0
    for project, domain in sorted({(address.project, address.domain) for address in changed}):
        others = sorted(await _workflow_names(client, project, domain) - set(declared))
        unread += len(others[MOST_CALLERS:])
        definitions = await _gather(_newest(client, address) for address in others[:MOST_CALLERS])
        found |= {address: each for address, each in zip(others, definitions, strict=False) if each is not None}
    return found, unread


async def _workflow_names(client: AdminClient, project: str, domain: str) -> set[Address]:
    """Return the workflows that are in use; the first ones of a place that has very many."""
    found: set[Address] = set()
    async for row in client.list_named_entities(WORKFLOW, project, domain):
        if row.metadata.state != _ARCHIVED:
            found.add(Address(Kind.WORKFLOW, project, domain, row.id.name))
        if len(found) == MOST_NAMES:
            break
    return found


async def _newest(client: AdminClient, address: Address) -> WorkflowDefinition | None:
    async for row in client.list_workflows(address.project, address.domain, name=address.name, newest=True):
        workflow = await client.get_workflow(row.id)
        return compiled_workflow(workflow.closure.compiled_workflow)
    return None


async def _cached(
    client: AdminClient, changes: Iterable[Change], previous: Mapping[Address, Previous]
) -> dict[CacheDataset, Count | None]:
    """Count the cached results of changed tasks; None where DataCatalog cannot be asked."""
    former = {change.address: change.moved_from or change.address for change in changes}
    datasets = [
        dataset_of(former[address], each.definition.template)
        for address, each in sorted(previous.items(), key=lambda one: one[0])
        if isinstance(each.definition, TaskDefinition) and each.definition.template.metadata.discoverable
    ]
    if not datasets:
        return {}
    first = await _count(client, datasets[0])
    if first is None:  # it is not served here: no need to ask for each
        return dict.fromkeys(datasets)
    rest = await _gather(_count(client, each) for each in datasets[1:MOST_DATASETS])
    return dict.fromkeys(datasets) | dict(zip(datasets, (first, *rest), strict=False))


async def _count(client: AdminClient, dataset: CacheDataset) -> Count | None:
    message = datacatalog_pb2.DatasetID(
        project=dataset.project, domain=dataset.domain, name=dataset.name, version=dataset.version
    )
    try:
        return Count(*await count_artifacts(client.caller, message, MOST_CACHED))
    except (UnsupportedError, UnavailableError, AccessDeniedError, InvalidInputError):
        return None


async def _in_flight(client: AdminClient, changes: Iterable[Change]) -> dict[Address, InFlight]:
    """Count the executions that have not ended of the workflows and launch plans that change or go out of use."""
    touched = {
        change.address
        for change in changes
        if change.address.kind in (Kind.WORKFLOW, Kind.LAUNCH_PLAN)
        and (change.action in REMOVALS or (change.action is Action.NEW_VERSION and change.previous))
    }
    found = await _gather(
        _running(client, kind, place, chunk)
        for kind in (Kind.WORKFLOW, Kind.LAUNCH_PLAN)
        for place, chunk in _by_place(address for address in touched if address.kind is kind)
    )
    return {address: each for part in found for address, each in part.items() if address in touched}


async def _running(client: AdminClient, kind: Kind, place: Place, chunk: Sequence[str]) -> dict[Address, InFlight]:
    filters = f"{_names(chunk, f'{kind.value}.name')}+{_IN_FLIGHT}"
    try:
        rows = [row async for row in client.list_executions(*place, filters=filters, newest=MOST_EXECUTIONS)]
    except (UnsupportedError, AccessDeniedError, InvalidInputError):
        return {Address(kind, *place, name): InFlight(None) for name in chunk}
    by_address: defaultdict[Address, list[tuple[str, str]]] = defaultdict(list)
    for row in rows:
        identifier = row.closure.workflow_id if kind is Kind.WORKFLOW else row.spec.launch_plan
        if identifier.resource_type == identifier_type(kind):
            by_address[address_of(identifier)].append((identifier.version, row.id.name))
    more = len(rows) == MOST_EXECUTIONS
    return {address: _summary(found, more=more) for address, found in by_address.items()}


def identifier_type(kind: Kind) -> int:
    """Return FlyteIDL's number of a kind."""
    return identifier_of(Address(kind, "", "", ""), "").resource_type


def _summary(found: Sequence[tuple[str, str]], *, more: bool) -> InFlight:
    versions = Counter(version for version, _ in found)
    return InFlight(Count(len(found), more), dict(versions), tuple(name for _, name in found[:_NAMES_SHOWN]))


def _names(names: Iterable[str], field: str = "name") -> str:
    return f"value_in({field},{';'.join(names)})"


def _by_place(addresses: Iterable[Address]) -> Iterator[tuple[Place, Sequence[str]]]:
    names: defaultdict[Place, set[str]] = defaultdict(set)
    for address in addresses:
        names[address.project, address.domain].add(address.name)
    return ((place, chunk) for place, found in sorted(names.items()) for chunk in _chunks(sorted(found)))


def _chunks(ordered: Sequence[Result]) -> Iterator[Sequence[Result]]:
    return (ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK))


async def _gather(calls: Iterable[Coroutine[None, None, Result]]) -> list[Result]:
    return list(await asyncio.gather(*calls))
