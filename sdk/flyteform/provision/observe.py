"""Read from the platform what a plan needs, and no more: a bounded number of calls, made at the same time."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

from flyteform.errors import NotFoundError
from flyteform.provision.fields import launch_plan_fields, task_fields, workflow_fields
from flyteform.provision.identifiers import RESOURCE_TYPES
from flyteform.provision.model import Address, Kind
from flyteform.provision.observe_clusters import observe_clusters
from flyteform.provision.observe_settings import observe_settings
from flyteform.provision.observed import Observed, ObservedProject, ObservedVersion
from flyteform.provision.unversioned import metadata_address, owner_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping, Sequence

    from flyteidl.admin import common_pb2, launch_plan_pb2, project_pb2, task_pb2, workflow_pb2

    from flyteform.client.admin import AdminClient
    from flyteform.provision.model import Desired

# Values in one filter: bounds the length of a request. One less than a page: after a full one the next is asked for.
_CHUNK = 99
_ACTIVE_ONLY = "eq(state,1)"
_ARCHIVED = 1

Place = tuple[Kind, str, str]
Result = TypeVar("Result")


async def observe(
    client: AdminClient, desired: Desired, owned: Iterable[Address], versions: Iterable[tuple[Address, str]] = ()
) -> Observed:
    """Read projects, wanted versions, names with their state, active launch plans, settings, what new versions follow.

    Of the further `versions` only is read whether they exist. `UnsupportedError` for policies and clusters on a
    platform without.
    """
    former = {each: options.moved for each, options in desired.options.items() if options.moved}
    addresses = desired.addresses | frozenset(owned) | frozenset(itertools.chain.from_iterable(former.values()))
    projects = await _projects(client, addresses)
    here = [address for address in addresses if address.project in projects]
    known = [address for address in here if address.kind in RESOURCE_TYPES]
    named = {*known, *(owner_of(address) for address in here if address.kind is Kind.METADATA)}
    wanted = {(entity.address, entity.version) for entity in desired.entities if entity.address.project in projects}
    others = {(address, version) for address, version in versions if address.project in projects}
    registered, names, active, settings, clusters = await asyncio.gather(
        _registered(client, wanted | others),
        _names(client, named),
        _active(client, known),
        observe_settings(client, here, desired.settings),
        observe_clusters(client, addresses, desired.addresses),
    )
    missing = {address for address, _ in wanted - registered}
    missing |= {address for address, options in desired.options.items() if options.ignore_changes and address in names}
    followed = {each if each in names else before for each in missing for before in (*former.get(each, ()), each)}
    return Observed(
        projects=projects,
        registered=registered,
        present=frozenset(names),
        archived=frozenset(address for address, metadata in names.items() if metadata.state == _ARCHIVED),
        latest=await _latest(client, {address for address in followed if address in names}, active),
        active=active,
        settings=settings | clusters.specs | _metadata(names),
        executions=clusters.executions,
    )


def _metadata(names: Mapping[Address, common_pb2.NamedEntityMetadata]) -> dict[Address, bytes]:
    return {metadata_address(address): metadata.SerializeToString() for address, metadata in names.items()}


async def _projects(client: AdminClient, addresses: Iterable[Address]) -> dict[str, ObservedProject]:
    async def read(project: str) -> tuple[str, project_pb2.Project | None]:
        try:
            return project, await client.get_project(project)
        except NotFoundError:
            return project, None

    found = await asyncio.gather(*(read(name) for name in sorted({address.project for address in addresses} - {""})))
    return {name: _observed_project(project) for name, project in found if project is not None}


def _observed_project(project: project_pb2.Project) -> ObservedProject:
    return ObservedProject(
        name=project.name,
        description=project.description,
        labels=dict(project.labels.values),
        archived=project.state != project.ACTIVE,
        domains=frozenset(domain.id for domain in project.domains),
    )


async def _registered(client: AdminClient, wanted: set[tuple[Address, str]]) -> frozenset[tuple[Address, str]]:
    """Return which of the wanted versions exist."""
    versions: defaultdict[Place, set[str]] = defaultdict(set)
    for address, version in wanted:
        versions[address.kind, address.project, address.domain].add(version)

    async def read(place: Place, chunk: Sequence[str]) -> set[tuple[Address, str]]:
        rows = _list(client, place, filters=f"value_in(version,{';'.join(chunk)})")
        return {(Address(*place, row.id.name), row.id.version) async for row in rows}

    found = await _gather(read(place, chunk) for place, values in versions.items() for chunk in _chunks(values))
    return frozenset(itertools.chain.from_iterable(found)) & wanted


async def _names(client: AdminClient, addresses: Iterable[Address]) -> dict[Address, common_pb2.NamedEntityMetadata]:
    """Return which names exist, with their state and description."""

    async def read(place: Place, chunk: Sequence[str]) -> dict[Address, common_pb2.NamedEntityMetadata]:
        kind, project, domain = place
        rows = client.list_named_entities(
            RESOURCE_TYPES[kind], project, domain, filters=f"value_in(name,{';'.join(chunk)})"
        )
        return {Address(*place, row.id.name): row.metadata async for row in rows}

    found = await _gather(read(place, chunk) for place, names in _by_place(addresses) for chunk in _chunks(names))
    return {address: metadata for part in found for address, metadata in part.items()}


async def _active(client: AdminClient, addresses: Iterable[Address]) -> dict[Address, ObservedVersion]:
    """Return the active version of every launch plan that has one."""

    async def read(place: Place, chunk: Sequence[str]) -> dict[Address, ObservedVersion]:
        _, project, domain = place
        rows = client.list_launch_plans(project, domain, filters=f"value_in(name,{';'.join(chunk)})+{_ACTIVE_ONLY}")
        return {Address(*place, row.id.name): _launch_plan_version(row) async for row in rows}

    plans = [address for address in addresses if address.kind is Kind.LAUNCH_PLAN]
    found = await _gather(read(place, chunk) for place, names in _by_place(plans) for chunk in _chunks(names))
    return {address: version for part in found for address, version in part.items()}


async def _latest(
    client: AdminClient, addresses: Iterable[Address], active: dict[Address, ObservedVersion]
) -> dict[Address, ObservedVersion]:
    """Return what a new version follows: the active version of a launch plan, else the newest one."""

    async def read(address: Address) -> tuple[Address, ObservedVersion | None]:
        return address, active.get(address) or await _newest(client, address)

    found = await _gather(read(address) for address in sorted(addresses))
    return {address: version for address, version in found if version is not None}


async def _newest(client: AdminClient, address: Address) -> ObservedVersion | None:
    place = (address.project, address.domain)
    match address.kind:
        case Kind.TASK:
            async for task in client.list_tasks(*place, name=address.name, newest=True):
                return _task_version(task)
        case Kind.WORKFLOW:
            async for row in client.list_workflows(*place, name=address.name, newest=True):
                workflow = await client.get_workflow(row.id)
                template = workflow.closure.compiled_workflow.primary.template
                return ObservedVersion(row.id.version, workflow_fields(template), template.SerializeToString())
        case _:
            async for plan in client.list_launch_plans(*place, name=address.name, newest=True):
                return _launch_plan_version(plan)
    return None


def _launch_plan_version(plan: launch_plan_pb2.LaunchPlan) -> ObservedVersion:
    return ObservedVersion(plan.id.version, launch_plan_fields(plan.spec), plan.spec.SerializeToString())


def _task_version(task: task_pb2.Task) -> ObservedVersion:
    template = task.closure.compiled_task.template
    return ObservedVersion(task.id.version, task_fields(template), template.SerializeToString())


def _list(
    client: AdminClient, place: Place, *, filters: str
) -> AsyncIterator[task_pb2.Task | workflow_pb2.Workflow | launch_plan_pb2.LaunchPlan]:
    kind, project, domain = place
    match kind:
        case Kind.TASK:
            return client.list_tasks(project, domain, filters=filters)
        case Kind.WORKFLOW:
            return client.list_workflows(project, domain, filters=filters)
        case _:
            return client.list_launch_plans(project, domain, filters=filters)


def _by_place(addresses: Iterable[Address]) -> Iterator[tuple[Place, set[str]]]:
    names: defaultdict[Place, set[str]] = defaultdict(set)
    for address in addresses:
        names[address.kind, address.project, address.domain].add(address.name)
    yield from names.items()


def _chunks(values: Iterable[str]) -> Iterator[Sequence[str]]:
    ordered = sorted(values)
    return (ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK))


async def _gather(calls: Iterable[Coroutine[None, None, Result]]) -> list[Result]:
    return list(await asyncio.gather(*calls))
