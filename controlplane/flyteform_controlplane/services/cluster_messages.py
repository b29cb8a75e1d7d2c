"""Clusters as clients see them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from flyteform.proto.flyteform.v1 import clusters_pb2
from flyteform_controlplane.domain.dispatches import ClusterState, DispatchState
from flyteform_controlplane.domain.times import to_timestamp
from flyteform_controlplane.store.sql import dispatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.domain.clusters import ClusterRecord


async def cluster_messages(tx: AsyncConnection, records: Sequence[ClusterRecord]) -> list[clusters_pb2.Cluster]:
    """Return the messages, with how many executions each cluster has now."""
    counts = await dispatch.counts(tx, [record.name for record in records])
    return [
        _message(
            record,
            held=counts.get((record.name, DispatchState.ACKED), 0),
            leased=counts.get((record.name, DispatchState.LEASED), 0),
        )
        for record in records
    ]


def _message(record: ClusterRecord, *, held: int, leased: int) -> clusters_pb2.Cluster:
    message = clusters_pb2.Cluster(
        name=record.name,
        spec=record.spec if record.revision else _observed(record),
        revision=record.revision,
        state=clusters_pb2.ClusterState.Value(f"CLUSTER_STATE_{record.state}"),
        drained=record.state == ClusterState.DRAINING and not held + leased,
        version=record.version,
        kubernetes_version=record.kubernetes_version,
        storage=record.storage,
        capacity=record.capacity,
        held=held,
        leased=leased,
        bootstrapped=bool(record.pinned_key),
        created_at=to_timestamp(record.created_at),
        updated_at=to_timestamp(record.updated_at),
    )
    if record.lost_since is not None:
        message.lost_since.CopyFrom(to_timestamp(record.lost_since))
    if record.heartbeat_at is not None:
        message.last_heartbeat.CopyFrom(to_timestamp(record.heartbeat_at))
    if record.sync.ByteSize():
        message.sync.CopyFrom(record.sync)
    return message


def _observed(record: ClusterRecord) -> clusters_pb2.ClusterSpec:
    """Return what the data plane of a cluster that nobody has declared says of it."""
    return clusters_pb2.ClusterSpec(labels=dict.fromkeys(json.loads(record.labels), 1.0))
