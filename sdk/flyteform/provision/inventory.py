"""All that a project has in use: what an import writes down."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteidl.admin import matchable_resource_pb2

from flyteform.client.attributes import AttributesClient
from flyteform.client.errors import UnsupportedError
from flyteform.client.policies import PolicyClient
from flyteform.errors import InvalidInputError
from flyteform.provision.identifiers import RESOURCE_TYPES
from flyteform.provision.model import Address, Kind
from flyteform.provision.observe_settings import named_entity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping, Sequence
    from typing import TypeVar

    from flyteidl.admin import common_pb2, launch_plan_pb2, project_pb2
    from flyteidl.core import interface_pb2

    from flyteform.client.admin import AdminClient
    from flyteform.proto.flyteform.v1 import policies_pb2

    Found = TypeVar("Found")

_ACTIVE_ONLY = "eq(state,1)"
_ARCHIVED = 1
_SETTINGS = (
    matchable_resource_pb2.TASK_RESOURCE,
    matchable_resource_pb2.CLUSTER_RESOURCE,
    matchable_resource_pb2.EXECUTION_QUEUE,
    matchable_resource_pb2.EXECUTION_CLUSTER_LABEL,
    matchable_resource_pb2.QUALITY_OF_SERVICE_SPECIFICATION,
    matchable_resource_pb2.PLUGIN_OVERRIDE,
    matchable_resource_pb2.WORKFLOW_EXECUTION_CONFIG,
    matchable_resource_pb2.CLUSTER_ASSIGNMENT,
)


@dataclass(frozen=True, slots=True)
class FoundWorkflow:
    """The version of a workflow that is in use: that of its active default launch plan, else the newest.

    `tasks` are the versions that it calls.
    """

    version: str
    inputs: Mapping[str, interface_pb2.Variable]
    tasks: Mapping[Address, str]


@dataclass(frozen=True, slots=True)
class FoundLaunchPlan:
    """The active version of a launch plan, else the newest."""

    plan: launch_plan_pb2.LaunchPlan
    active: bool
    policy: policies_pb2.LaunchPlanPolicy | None


@dataclass(frozen=True, slots=True)
class Inventory:
    """What is in use, without what is archived; `descriptions` has the names that have one."""

    project: project_pb2.Project
    domains: tuple[str, ...]
    settings: Sequence[matchable_resource_pb2.MatchableAttributesConfiguration]
    tasks: Mapping[Address, str]
    workflows: Mapping[Address, FoundWorkflow]
    launch_plans: Mapping[Address, FoundLaunchPlan]
    descriptions: Mapping[Address, str]


async def take_inventory(client: AdminClient, project: str, domain: str | None = None) -> Inventory:
    """Read one domain of a project, or all; `NotFoundError` without the project, `InvalidInputError` without domain."""
    found = await client.get_project(project)
    known = tuple(each.id for each in found.domains)
    if domain is not None and domain not in known:
        raise InvalidInputError(f"project {project!r} has no domain {domain!r}", remedy=f"it has: {', '.join(known)}")
    domains = known if domain is None else (domain,)
    names = [name async for name in _names(client, project, domains)]
    launch_plans = await _gathered(
        _launch_plan(client, address) for address, _ in names if _is(address, Kind.LAUNCH_PLAN)
    )
    tasks = await _gathered(_task(client, address) for address, _ in names if _is(address, Kind.TASK))
    workflows = await _gathered(
        _workflow(client, address, launch_plans) for address, _ in names if _is(address, Kind.WORKFLOW)
    )
    in_use = {address: each for address, each in launch_plans.items() if each.active or _workflow_of(each) in workflows}
    called = {address: version for each in workflows.values() for address, version in each.tasks.items()}
    return Inventory(
        project=found,
        domains=domains,
        settings=await _settings(client, project, domain, domains),
        tasks={address: called.get(address, newest) for address, newest in tasks.items()},
        workflows=workflows,
        launch_plans=in_use,
        descriptions={address: metadata.description for address, metadata in names if metadata.description},
    )


def _workflow_of(found: FoundLaunchPlan) -> Address:
    identifier = found.plan.spec.workflow_id
    return Address(Kind.WORKFLOW, identifier.project, identifier.domain, identifier.name)


def _is(address: Address, kind: Kind) -> bool:
    return address.kind is kind


async def _names(
    client: AdminClient, project: str, domains: Iterable[str]
) -> AsyncIterator[tuple[Address, common_pb2.NamedEntityMetadata]]:
    for domain in domains:
        for kind, resource_type in RESOURCE_TYPES.items():
            async for row in client.list_named_entities(resource_type, project, domain):
                if row.metadata.state != _ARCHIVED:
                    yield Address(kind, project, domain, row.id.name), row.metadata


async def _gathered(reads: Iterable[Awaitable[tuple[Address, Found | None]]]) -> dict[Address, Found]:
    found = await asyncio.gather(*reads)
    return {address: each for address, each in found if each is not None}


async def _task(client: AdminClient, address: Address) -> tuple[Address, str | None]:
    async for task in client.list_tasks(address.project, address.domain, name=address.name, newest=True):
        return address, task.id.version
    return address, None


async def _launch_plan(client: AdminClient, address: Address) -> tuple[Address, FoundLaunchPlan | None]:
    place = (address.project, address.domain)
    plan, active = None, False
    async for row in client.list_launch_plans(*place, name=address.name, filters=_ACTIVE_ONLY):
        plan, active = row, True
    if plan is None:
        async for row in client.list_launch_plans(*place, name=address.name, newest=True):
            plan = row
    if plan is None:
        return address, None
    try:
        policy = await PolicyClient(client.caller).get(named_entity(address))
    except UnsupportedError:
        policy = None
    return address, FoundLaunchPlan(plan, active, policy)


async def _workflow(
    client: AdminClient, address: Address, launch_plans: Mapping[Address, FoundLaunchPlan]
) -> tuple[Address, FoundWorkflow | None]:
    default = launch_plans.get(Address(Kind.LAUNCH_PLAN, address.project, address.domain, address.name))
    identifier = default.plan.spec.workflow_id if default is not None and default.active else None
    if identifier is None or identifier.name != address.name:
        async for row in client.list_workflows(address.project, address.domain, name=address.name, newest=True):
            identifier = row.id
    if identifier is None:
        return address, None
    workflow = await client.get_workflow(identifier)
    interface = workflow.closure.compiled_workflow.primary.template.interface
    called = (task.template.id for task in workflow.closure.compiled_workflow.tasks)
    tasks = {Address(Kind.TASK, each.project, each.domain, each.name): each.version for each in called}
    return address, FoundWorkflow(identifier.version, dict(interface.inputs.variables), tasks)


async def _settings(
    client: AdminClient, project: str, domain: str | None, domains: Sequence[str]
) -> Sequence[matchable_resource_pb2.MatchableAttributesConfiguration]:
    """Return the settings of the domains; those of the whole project only with all of its domains."""
    wanted = {*domains, *([""] if domain is None else [])}
    attributes = AttributesClient(client.caller)
    found = await asyncio.gather(*(attributes.list(kind) for kind in _SETTINGS))
    rows = [row for part in found for row in part if row.project == project and row.domain in wanted]
    return sorted(
        (row for row in rows if not row.launch_plan), key=lambda row: (row.domain, row.workflow, str(row.attributes))
    )
