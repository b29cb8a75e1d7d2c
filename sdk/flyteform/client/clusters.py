"""The calls of `flyteform.v1.ClusterService` about clusters as they are declared and held back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteform.errors import NotFoundError
from flyteform.proto.flyteform.v1 import clusters_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flyteform.client.calls import Caller

_SERVICE = "flyteform.v1.ClusterService"
_PAGE_ROWS = 100


@dataclass(frozen=True, slots=True)
class ClusterClient:
    """The clusters of one platform. A stock FlyteAdmin has none: `UnsupportedError`."""

    caller: Caller

    async def get(self, name: str) -> clusters_pb2.Cluster | None:
        """Return a cluster, None if there is none of that name."""
        request = clusters_pb2.GetClusterRequest(name=name)
        try:
            return (await self.caller.call(_SERVICE, "GetCluster", request, clusters_pb2.GetClusterResponse)).cluster
        except NotFoundError:
            return None

    async def list(self) -> AsyncIterator[clusters_pb2.Cluster]:
        """Yield all clusters by name."""
        token = ""
        while True:
            request = clusters_pb2.ListClustersRequest(limit=_PAGE_ROWS, token=token)
            page = await self.caller.call(_SERVICE, "ListClusters", request, clusters_pb2.ListClustersResponse)
            for cluster in page.clusters:
                yield cluster
            token = page.token
            if not token:
                return

    async def put(self, name: str, spec: clusters_pb2.ClusterSpec) -> clusters_pb2.Cluster:
        """Onboard a cluster, or replace what was declared of it."""
        request = clusters_pb2.PutClusterRequest(name=name, spec=spec)
        return (await self.caller.call(_SERVICE, "PutCluster", request, clusters_pb2.PutClusterResponse)).cluster

    async def delete(self, name: str) -> None:
        """Forget a cluster; it is no error if there is none, but one if executions are on it."""
        request = clusters_pb2.DeleteClusterRequest(name=name)
        await self.caller.call(_SERVICE, "DeleteCluster", request, clusters_pb2.DeleteClusterResponse)

    async def abandon(self, name: str) -> clusters_pb2.AbandonClusterResponse:
        """End what a lost cluster holds; `FailedPreconditionError` if it is heard."""
        request = clusters_pb2.AbandonClusterRequest(name=name)
        return await self.caller.call(_SERVICE, "AbandonCluster", request, clusters_pb2.AbandonClusterResponse)

    async def drain(self, name: str) -> clusters_pb2.Cluster:
        """Lease nothing more to a cluster, for good."""
        request = clusters_pb2.DrainClusterRequest(name=name)
        return (await self.caller.call(_SERVICE, "DrainCluster", request, clusters_pb2.DrainClusterResponse)).cluster

    async def cordon(self, name: str) -> clusters_pb2.Cluster:
        """Lease nothing more to a cluster, for now."""
        request = clusters_pb2.CordonClusterRequest(name=name)
        return (await self.caller.call(_SERVICE, "CordonCluster", request, clusters_pb2.CordonClusterResponse)).cluster

    async def uncordon(self, name: str) -> clusters_pb2.Cluster:
        """Lease to a cluster again."""
        request = clusters_pb2.UncordonClusterRequest(name=name)
        answer = await self.caller.call(_SERVICE, "UncordonCluster", request, clusters_pb2.UncordonClusterResponse)
        return answer.cluster
