"""Writes of what has no versions: settings, policies, metadata and clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.admin import matchable_resource_pb2

from flyteform.client.attributes import AttributesClient
from flyteform.client.clusters import ClusterClient
from flyteform.client.policies import PolicyClient
from flyteform.errors import NotFoundError
from flyteform.proto.flyteform.v1 import clusters_pb2, policies_pb2
from flyteform.provision.identifiers import RESOURCE_TYPES
from flyteform.provision.model import Action, Kind
from flyteform.provision.observe_settings import named_entity
from flyteform.provision.unversioned import attribute_of, metadata_spec, owner_of, scope_of

if TYPE_CHECKING:
    from flyteform.client.admin import AdminClient
    from flyteform.provision.model import Address, Change, Plan, Setting


class SettingsWriter:
    """Writes the steps of one plan that are about what has no versions."""

    def __init__(self, plan: Plan, client: AdminClient) -> None:
        self._client = client
        self._attributes = AttributesClient(client.caller)
        self._policies = PolicyClient(client.caller)
        self._clusters = ClusterClient(client.caller)
        self._wanted = {setting.address: setting for setting in plan.desired.settings}

    async def write(self, step: Change) -> None:
        """Take one step; what is to be removed and is gone already is no error."""
        if step.action in (Action.NO_OP, Action.REFRESH):
            return
        wanted = None if step.action is Action.REMOVE else self._wanted[step.address]
        match step.address.kind:
            case Kind.SETTINGS:
                await self._set_attributes(step, wanted)
            case Kind.POLICY:
                await self._set_policy(step.address, wanted)
            case Kind.CLUSTER:
                await self._set_cluster(step, wanted)
            case _:
                await self._set_metadata(step.address, wanted)

    async def _set_attributes(self, step: Change, wanted: Setting | None) -> None:
        scope, resource = scope_of(step.address), attribute_of(step.address)
        # FlyteAdmin merges plugin overrides into those that are there: what is to go has to be removed before.
        merged = resource == matchable_resource_pb2.PLUGIN_OVERRIDE and any(each.after is None for each in step.fields)
        if wanted is None or merged:
            await self._attributes.delete(scope, resource)
        if wanted is not None:
            await self._attributes.update(scope, matchable_resource_pb2.MatchingAttributes.FromString(wanted.spec))

    async def _set_policy(self, address: Address, wanted: Setting | None) -> None:
        if wanted is None:
            await self._policies.delete(named_entity(address))
        else:
            await self._policies.set(named_entity(address), policies_pb2.LaunchPlanPolicy.FromString(wanted.spec))

    async def _set_cluster(self, step: Change, wanted: Setting | None) -> None:
        """Declare a cluster, then hold it back or not if that is declared and not so."""
        name = step.address.name
        if wanted is None:
            await self._clusters.delete(name)
            return
        message = clusters_pb2.Cluster.FromString(wanted.spec)
        await self._clusters.put(name, message.spec)
        if "state" not in {each.path for each in step.fields}:
            return
        match message.state:
            case clusters_pb2.CLUSTER_STATE_CORDONED:
                await self._clusters.cordon(name)
            case clusters_pb2.CLUSTER_STATE_DRAINING:
                await self._clusters.drain(name)
            case _:
                await self._clusters.uncordon(name)

    async def _set_metadata(self, address: Address, wanted: Setting | None) -> None:
        """Overwrite what is declared and keep the rest; what is no longer declared loses its description."""
        owner = owner_of(address)
        resource_type = RESOURCE_TYPES[owner.kind]
        try:
            entity = await self._client.get_named_entity(resource_type, named_entity(owner))
        except NotFoundError:
            if wanted is None:
                return
            raise
        entity.resource_type = resource_type
        entity.id.CopyFrom(named_entity(owner))
        fields = {"description": ""} if wanted is None else wanted.fields
        metadata = metadata_spec(fields)
        if "description" in fields:
            entity.metadata.description = metadata.description
        if "state" in fields:
            entity.metadata.state = metadata.state
        await self._client.update_named_entity(entity)
