"""Clusters in SQL, as dispatch sees them; every function works within the caller's transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, case, delete, insert, select, update

from flyteform.proto.flyteform.v1.clusters_pb2 import ClusterSpec, StorageProfile
from flyteform_controlplane.domain.dispatches import Cluster, ClusterState
from flyteform_controlplane.store.sql import dispatch
from flyteform_controlplane.store.sql.locks import lock_name
from flyteform_controlplane.store.tables_duties import bootstrap_tokens, clusters

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection

_KNOWN = tuple(
    clusters.c[name]
    for name in ("name", "labels", "weights", "state", "epoch", "heartbeat_at", "capacity", "lost_since")
)


@dataclass(frozen=True, slots=True)
class Registration:
    """What a data plane says of its cluster when it connects; `storage` is a serialized StorageProfile."""

    labels: tuple[str, ...]
    version: str
    kubernetes_version: str = ""
    capacity: int = 0
    storage: bytes = b""


async def known_clusters(tx: AsyncConnection) -> list[Cluster]:
    """Return every cluster that was declared or ever registered."""
    rows = (await tx.execute(select(*_KNOWN))).mappings()
    return [
        Cluster(
            name=row["name"],
            labels=frozenset(json.loads(row["labels"])),
            state=ClusterState(row["state"]),
            epoch=row["epoch"],
            heartbeat_at=row["heartbeat_at"],
            weights=None if row["weights"] is None else json.loads(row["weights"]),
            capacity=row["capacity"],
            lost_since=row["lost_since"],
        )
        for row in rows
    ]


async def register_cluster(tx: AsyncConnection, name: str, registration: Registration, at: datetime) -> int:
    """Write that the cluster has connected, READY unless an operator holds it back; return the connection's epoch."""
    await lock_name(tx, "cluster", name)
    values = {
        "labels": json.dumps(sorted(set(registration.labels))),
        "version": registration.version,
        "kubernetes_version": registration.kubernetes_version,
        "capacity": registration.capacity,
        "storage": registration.storage,
        "heartbeat_at": at,
        "lost_since": None,
    }
    found = (await tx.execute(select(clusters.c.epoch).where(clusters.c.name == name))).first()
    if found is None:
        first = {"name": name, "created_at": at, "updated_at": at, "epoch": 1, "state": ClusterState.READY.value}
        await tx.execute(insert(clusters).values(**values, **first))
        return 1
    heard = update(clusters).where(clusters.c.name == name).values(**values, epoch=clusters.c.epoch + 1, state=_heard())
    epoch: int = (await tx.execute(heard.returning(clusters.c.epoch))).scalar_one()
    return epoch


async def record_heartbeat(tx: AsyncConnection, name: str, epoch: int, at: datetime) -> bool:
    """Write that the cluster lives; False if another connection speaks for it now."""
    ours = and_(clusters.c.name == name, clusters.c.epoch == epoch)
    done = await tx.execute(update(clusters).where(ours).values(heartbeat_at=at, lost_since=None, state=_heard()))
    return done.rowcount > 0


async def current_connections(tx: AsyncConnection, names: Collection[str]) -> dict[str, int]:
    """Return the epochs of these clusters' newest connections; none gets a newer one until the transaction ends."""
    statement = select(clusters.c.name, clusters.c.epoch).where(clusters.c.name.in_(names)).order_by(clusters.c.name)
    return {row.name: row.epoch for row in await tx.execute(statement.with_for_update(key_share=True))}


async def is_current(tx: AsyncConnection, name: str, epoch: int) -> bool:
    """Say whether this connection is the cluster's newest."""
    found = await tx.execute(select(clusters.c.id).where(clusters.c.name == name, clusters.c.epoch == epoch))
    return found.first() is not None


async def mark_lost(tx: AsyncConnection, silent_since: datetime, at: datetime) -> list[str]:
    """Write which clusters fell silent, and return them; what they had not acknowledged returns to the queue."""
    quiet = and_(clusters.c.heartbeat_at < silent_since, clusters.c.lost_since.is_(None))
    # One that another transaction is just about is looked at the next time: that one may stand still.
    silent = clusters.c.id.in_(select(clusters.c.id).where(quiet).with_for_update(skip_locked=True))
    ready = clusters.c.state == ClusterState.READY.value
    state = case((ready, ClusterState.LOST.value), else_=clusters.c.state)
    lost = update(clusters).where(silent).values(state=state, lost_since=clusters.c.heartbeat_at)
    names = list((await tx.execute(lost.returning(clusters.c.name))).scalars())
    if names:
        await dispatch.return_offers(tx, names, at)
    return names


async def storage_prefixes(tx: AsyncConnection) -> dict[str, str]:
    """Return the prefixes of the stores of all clusters that have one of their own, by the clusters' names.

    Those whose stores are declared come first: what they and others lay claim to is theirs.
    """
    rows = await tx.execute(select(clusters.c.name, clusters.c.storage, clusters.c.spec).order_by(clusters.c.name))
    found = [
        (row.name, StorageProfile.FromString(row.storage).prefix, ClusterSpec.FromString(row.spec)) for row in rows
    ]
    found.sort(key=lambda one: not one[2].storage.prefix)
    return {name: prefix for name, prefix, _ in found if prefix}


async def hold_back(tx: AsyncConnection, name: str, state: ClusterState | None, at: datetime) -> bool:
    """Write that an operator drains or cordons a cluster, or (None) lets it work again; False if there is none.

    What it has been offered it may still acknowledge: to move it now could start it twice. If no acknowledgement comes
    the lease's end moves it.
    """
    idle = case(
        (clusters.c.lost_since.is_not(None), ClusterState.LOST.value),
        (clusters.c.heartbeat_at.is_(None), ClusterState.PENDING.value),
        else_=ClusterState.READY.value,
    )
    values = {"state": idle if state is None else state.value, "updated_at": at}
    done = await tx.execute(update(clusters).where(clusters.c.name == name).values(values))
    return done.rowcount > 0


async def forget_tokens(tx: AsyncConnection, name: str) -> None:
    """Remove the bootstrap tokens of a cluster."""
    await tx.execute(delete(bootstrap_tokens).where(bootstrap_tokens.c.cluster == name))


def _heard() -> ColumnElement[str]:
    """Return the state of a cluster that was just heard: an operator's word stands."""
    silent = clusters.c.state.in_([ClusterState.LOST.value, ClusterState.PENDING.value])
    return case((silent, ClusterState.READY.value), else_=clusters.c.state)
