"""Resources as the platform has them: what a refresh finds of a known one, and all of one that is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyteidl.admin import task_pb2, workflow_pb2

from flyteform.errors import NotFoundError
from flyteform.provision.identifiers import identifier_of
from flyteform.provision.impact.diff import compiled_workflow
from flyteform.provision.model import Desired, Entity, Kind, ProjectSettings
from flyteform.provision.unversioned import UNVERSIONED, comparable
from flyteform.pulumi.provider.worlds import outputs_observed
from flyteform.pulumi.specs import content_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from flyteidl.admin import launch_plan_pb2

    from flyteform.client.admin import AdminClient
    from flyteform.provision.model import Address
    from flyteform.pulumi.kinds import ResourceType
    from flyteform.pulumi.provider.diffs import Remembered
    from flyteform.pulumi.provider.platforms import Platform

_IMPLICIT_NODES = frozenset({"start-node", "end-node"})  # the compiler's own
Found = tuple[dict[str, Any], dict[str, Any]]


async def refreshed(platform: Platform, described: ResourceType, address: Address, old: Remembered) -> Found | None:
    """Return inputs and outputs of a known resource as they are now, None if it is gone."""
    version = old.outputs.get("version")
    if address.kind is Kind.PROJECT:
        desired = Desired(projects=(ProjectSettings(address.project),))
    elif address.kind in UNVERSIONED:
        desired = Desired()
    else:
        desired = Desired(entities=(Entity(address, str(version), b""),))
    outputs = outputs_observed(described, address, version, await platform.observe(desired, (address,)))
    if outputs is None:
        return None
    inputs = dict(old.inputs)
    if address.kind is Kind.PROJECT:
        # What was never declared is not ours to watch.
        inputs |= {name: outputs[name] for name in described.inputs if name in inputs}
        outputs = {name: value for name, value in outputs.items() if name in old.outputs}
    elif address.kind in UNVERSIONED:
        declared = old.inputs.get("spec") or {}
        outputs["spec"] = comparable(address, outputs["spec"], declared)
        inputs["spec"] = outputs["spec"]
    elif "active" in old.outputs:
        outputs["active"] = old.outputs["active"]
    return inputs, outputs


async def imported(platform: Platform, described: ResourceType, address: Address, version: str) -> Found | None:
    """Return inputs and outputs of a resource that is on the platform; of the active or newest version by default."""
    if address.kind is Kind.PROJECT:
        observed = await platform.observe(Desired(projects=(ProjectSettings(address.project),)))
        outputs = outputs_observed(described, address, None, observed)
        return None if outputs is None else (_given(described, outputs), outputs)
    if address.kind in UNVERSIONED:
        outputs = outputs_observed(described, address, None, await platform.observe(Desired(), (address,)))
        if outputs is None:
            return None
        domain = {} if address.kind is Kind.CLUSTER else {"domain": address.domain}
        return _given(described, outputs) | domain, outputs
    entity = await _registered(platform.client, address, version)
    if entity is None:
        return None
    outputs = outputs_observed(described, address, entity.version, await platform.observe(Desired(entities=(entity,))))
    if outputs is None:
        return None
    content = content_of(entity)
    inputs = {**_given(described, outputs), "spec": content.spec}
    if content.calls:
        inputs["calls"] = content.calls
    if described.kind is Kind.LAUNCH_PLAN:
        inputs["active"] = outputs["active"] = outputs["activeVersion"] == entity.version
    return inputs, outputs


def _given(described: ResourceType, outputs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: outputs[name] for name in described.inputs if outputs.get(name)}


async def _registered(client: AdminClient, address: Address, version: str) -> Entity | None:
    """Return a version as it was registered, without what compilation added."""
    match address.kind:
        case Kind.TASK:
            async for task in client.list_tasks(*_named(address), newest=True, **_filters(address, version)):
                spec = task_pb2.TaskSpec(template=task.closure.compiled_task.template)
                return Entity(address, task.id.version, spec.SerializeToString())
        case Kind.WORKFLOW:
            return await _registered_workflow(client, address, version)
        case _:
            async for plan in _launch_plans(client, address, version):
                return Entity(address, plan.id.version, plan.spec.SerializeToString())
    return None


async def _registered_workflow(client: AdminClient, address: Address, version: str) -> Entity | None:
    async for row in client.list_workflows(*_named(address), newest=True, **_filters(address, version)):
        try:
            workflow = await client.get_workflow(identifier_of(address, row.id.version))
        except NotFoundError:
            return None
        definition = compiled_workflow(workflow.closure.compiled_workflow)
        spec = workflow_pb2.WorkflowSpec(template=definition.template, sub_workflows=definition.sub_workflows)
        for template in (spec.template, *spec.sub_workflows):
            nodes = [node for node in template.nodes if node.id not in _IMPLICIT_NODES]
            del template.nodes[:]
            template.nodes.extend(nodes)
        return Entity(address, row.id.version, spec.SerializeToString())
    return None


async def _launch_plans(
    client: AdminClient, address: Address, version: str
) -> AsyncIterator[launch_plan_pb2.LaunchPlan]:
    """Yield the version that is asked for; the active one, then the newest one, if none is."""
    if not version:
        async for plan in client.list_launch_plans(
            address.project, address.domain, name=address.name, filters="eq(state,1)"
        ):
            yield plan
    async for plan in client.list_launch_plans(*_named(address), newest=True, **_filters(address, version)):
        yield plan


def _named(address: Address) -> tuple[str, str]:
    return address.project, address.domain


def _filters(address: Address, version: str) -> dict[str, str]:
    return {"name": address.name, "filters": f"eq(version,{version})" if version else ""}
