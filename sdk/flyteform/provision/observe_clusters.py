"""Read clusters: all of them with one call, if any is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flyteform.client.clusters import ClusterClient
from flyteform.client.errors import UnsupportedError
from flyteform.provision.clusters import declared_part
from flyteform.provision.model import Kind, cluster_address

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from flyteform.client.admin import AdminClient
    from flyteform.provision.model import Address


@dataclass(frozen=True, slots=True)
class ObservedClusters:
    """The clusters that somebody has declared, as serialised Clusters, and how many executions each has."""

    specs: dict[Address, bytes] = field(default_factory=dict)
    executions: Mapping[Address, int] = field(default_factory=dict)


async def observe_clusters(
    client: AdminClient, addresses: Iterable[Address], declared: Collection[Address]
) -> ObservedClusters:
    """Return the clusters at these addresses; `UnsupportedError` if one is declared and the platform has none."""
    asked = {address for address in addresses if address.kind is Kind.CLUSTER}
    if not asked:
        return ObservedClusters()
    try:
        # A cluster that nobody has declared has come by itself: it is there, and not declared yet.
        clusters = [each async for each in ClusterClient(client.caller).list() if each.revision]
    except UnsupportedError as error:
        if wanted := next((each for each in sorted(asked) if each in declared), None):
            raise UnsupportedError(
                f"{wanted} needs a flyteform control plane, and {client.config.endpoint} is a stock FlyteAdmin: "
                "nothing was changed",
                remedy="leave out Cluster(…), or provision on a flyteform platform",
            ) from error
        return ObservedClusters()
    known = {address: each for each in clusters if (address := cluster_address(each.name)) in asked}
    return ObservedClusters(
        {address: declared_part(each).SerializeToString(deterministic=True) for address, each in known.items()},
        {address: each.held + each.leased for address, each in known.items()},
    )
