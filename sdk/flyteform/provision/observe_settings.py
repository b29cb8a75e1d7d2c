"""Read settings and policies: one call for all settings of one kind, one for each policy."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flyteidl.admin import common_pb2, matchable_resource_pb2

from flyteform.client.attributes import AttributesClient
from flyteform.client.errors import UnsupportedError
from flyteform.client.policies import PolicyClient
from flyteform.provision.model import Kind
from flyteform.provision.unversioned import attribute_name, attribute_of, settings_address

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteform.client.admin import AdminClient
    from flyteform.provision.model import Address, Setting


async def observe_settings(
    client: AdminClient, addresses: Iterable[Address], wanted: Iterable[Setting]
) -> dict[Address, bytes]:
    """Return what is set at these addresses, serialised; `UnsupportedError` for what the platform cannot be told."""
    asked = list(addresses)
    kinds = {attribute_of(address) for address in asked if address.kind is Kind.SETTINGS}
    declared = frozenset(setting.address for setting in wanted)
    # Declared policies are asked for wherever their project is, as that tells whether the platform has any.
    policies = sorted(address for address in {*asked, *declared} if address.kind is Kind.POLICY)
    found = await asyncio.gather(
        *(_attributes(client, kind) for kind in sorted(kinds)),
        *(_policy(client, address, declared=address in declared) for address in policies),
    )
    return {address: spec for part in found for address, spec in part.items()}


async def _attributes(client: AdminClient, kind: matchable_resource_pb2.MatchableResource) -> dict[Address, bytes]:
    rows = await AttributesClient(client.caller).list(kind)
    return {
        settings_address(row.project, row.domain, row.workflow, name): row.attributes.SerializeToString()
        for row in rows
        if not row.launch_plan and (name := attribute_name(row.attributes))
    }


async def _policy(client: AdminClient, address: Address, *, declared: bool) -> dict[Address, bytes]:
    try:
        policy = await PolicyClient(client.caller).get(named_entity(address))
    except UnsupportedError as error:
        if not declared:
            return {}
        raise UnsupportedError(
            f"launch plan {address.name} in {address.project}/{address.domain} has a policy (concurrency, catch-up) "
            f"that needs a flyteform control plane, and {client.config.endpoint} is a stock FlyteAdmin: nothing was "
            "changed",
            remedy='use Concurrency(…, "SKIP") and no catch_up, or provision on a flyteform platform',
        ) from error
    return {} if policy is None else {address: policy.SerializeToString()}


def named_entity(address: Address) -> common_pb2.NamedEntityIdentifier:
    """Return FlyteIDL's name of what has no versions."""
    return common_pb2.NamedEntityIdentifier(project=address.project, domain=address.domain, name=address.name)
