"""Brings queued executions to connected data planes and keeps who holds which.

All decisions are rows in the database, written in one transaction each; the streams only carry them. So a second
replica, with its own streams on the same database, claims for those alone.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import astuple
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from flyteform.errors import FlyteformError
from flyteform.proto.flyteform.v1 import link_pb2
from flyteform.waiting import set_within
from flyteform_controlplane.dispatch.choice import choose
from flyteform_controlplane.dispatch.config import DispatchConfig
from flyteform_controlplane.dispatch.connection import Connection
from flyteform_controlplane.dispatch.leases import LeaseBuilder
from flyteform_controlplane.domain.clusters import check_prefix, check_storage, within
from flyteform_controlplane.domain.dispatches import ClusterState, DispatchRecord, DispatchState
from flyteform_controlplane.domain.filters import Query
from flyteform_controlplane.domain.ports import ExecutionKey
from flyteform_controlplane.domain.times import now as present
from flyteform_controlplane.errors import FailedPreconditionError, UnavailableError
from flyteform_controlplane.store.sql import clusters
from flyteform_controlplane.store.sql import dispatch as store
from flyteform_controlplane.store.sql.clusters import Registration
from flyteform_controlplane.store.sql.locks import lock_name
from flyteform_controlplane.store.sql.store import SqlStore

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from datetime import datetime

    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform.objects.ports import ObjectStore
    from flyteform_controlplane.domain.dispatches import Cluster
    from flyteform_controlplane.store.database import Database

T = TypeVar("T")

_log = logging.getLogger(__name__)
_PAGE: Final = 500
_MOST_CLUSTERS: Final = 10_000
_CLUSTERS = SqlStore().clusters
_ENDED: Final = frozenset({"SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"})
_LONGEST_DELAY: Final = timedelta(minutes=1)
# How long the queue rests after an unexpected error, such as a database that does not answer.
_PAUSE_SECONDS: Final = 1.0
# How long the queue waits at most for leases that are being made.
_TOGETHER_SECONDS: Final = 0.5


class GiveUp(Protocol):
    """Ends an execution that cannot be leased."""

    async def __call__(self, record: DispatchRecord, message: str) -> None:
        """End it with the message as its error."""


class Dispatcher:
    """Implements `Dispatch` for the services, and what the link's streams need."""

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        config: DispatchConfig | None = None,
        *,
        now: Callable[[], datetime] = present,
        connected: Callable[[bool], None] = lambda _: None,
        tell: Callable[[], None] = lambda: None,
        give_up: GiveUp | None = None,
        leases: LeaseBuilder | None = None,
    ) -> None:
        self.config = config or DispatchConfig()
        self._database = database
        self._objects = objects
        self._leases = leases or LeaseBuilder(database, objects)
        self._now = now
        # Told whether any data plane is connected here, whenever that may have changed.
        self._connected = connected
        # Brings the other replicas to look at the queue too: the data plane may be connected to any of them.
        self._tell = tell
        self._give_up = give_up
        self._connections: dict[str, Connection] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._unbroken: set[asyncio.Task[Any]] = set()
        self._offers: set[asyncio.Task[None]] = set()
        self._tended: datetime | None = None
        self._started = now()

    # The port

    async def check_label(self, tx: AsyncConnection, cluster_label: str) -> None:
        """Raise `FailedPreconditionError` if no cluster has the label."""
        if cluster_label and not any(cluster.serves(cluster_label) for cluster in await clusters.known_clusters(tx)):
            raise FailedPreconditionError(
                f"no cluster has the label {cluster_label!r}",
                remedy="use a label that a data plane registers with, or none for any cluster",
            )

    async def enqueue(
        self, tx: AsyncConnection, execution: ExecutionKey, *, cluster_label: str, near: str = ""
    ) -> None:
        """Queue the execution; `FailedPreconditionError` if no cluster has the label."""
        await self.check_label(tx, cluster_label)
        await store.add(tx, execution, cluster_label, self._now(), near=near)

    async def abort(self, tx: AsyncConnection, execution: ExecutionKey, cause: str) -> bool:
        """Ask whoever holds the execution to abort it; False if no data plane has it, so that nobody else ends it."""
        record = await store.get(tx, execution)
        if record is None:
            return False
        if record.state is DispatchState.QUEUED:
            await store.remove(tx, [record.id])
            return False
        await store.request_abort(tx, record, cause, self._now())
        return True

    def wake(self) -> None:
        """Look at the queue now, on every replica."""
        self.look()
        self._tell()

    def look(self) -> None:
        """Look at the queue now, here."""
        self._wake.set()

    # Its life

    async def start(self) -> None:
        """Begin to serve the queue."""
        self._stopping = False
        self._started = self._now()
        self._task = asyncio.create_task(self._run(), name="dispatch")

    async def stop(self) -> None:
        """End all streams and the work on the queue, between two transactions."""
        self._stopping = True
        self._close_all()
        self.look()
        if self._task is not None:
            await self._task
            self._task = None
        for task in self._offers:
            task.cancel()
        await asyncio.gather(*self._offers, return_exceptions=True)
        if self._unbroken:
            await asyncio.wait(self._unbroken)
        # Again: a data plane may have connected meanwhile.
        self._close_all()

    def _close_all(self) -> None:
        for connection in self._connections.values():
            connection.close()

    # What the streams bring

    async def unbroken(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work to its end even if the stream breaks meanwhile: no transaction is cut in two."""
        task = asyncio.ensure_future(work)
        self._unbroken.add(task)
        task.add_done_callback(self._unbroken.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise

    async def connect(self, register: link_pb2.Register) -> Connection:
        """Take a data plane in: its earlier connection ends, and both sides agree on what it holds."""
        if self._stopping:
            raise UnavailableError("the control plane is stopping")
        held = {_key(identifier) for identifier in register.held}
        async with self._database.transaction() as tx:
            at = self._now()
            storage = await self._storage(tx, register)
            epoch = await clusters.register_cluster(tx, register.cluster, _registration(register), at)
            strangers = await self._reconcile(tx, register.cluster, held, at)
        connection = Connection(
            register.cluster, epoch, storage, keeps_resources=register.keeps_resources, now=self._now
        )
        former = self._connections.pop(register.cluster, None)
        if former is not None:
            former.close(_superseded(register.cluster))
        registered = link_pb2.Registered(epoch=epoch)
        registered.heartbeat_interval.FromTimedelta(self.config.heartbeat_interval)
        connection.send(link_pb2.ToDataPlane(registered=registered))
        for execution in strangers:
            connection.revoke(execution)
        self._connections[register.cluster] = connection
        self._connected(bool(self._connections))
        self.look()
        return connection

    async def _storage(self, tx: AsyncConnection, register: link_pb2.Register) -> str:
        """Return the prefix of the data plane's store, empty for the control plane's; refuse one that is another's."""
        profile = register.storage
        check_storage(profile)
        shared = not profile.prefix or within(profile.prefix, self._objects.prefix)
        await lock_name(tx, "clusters", "")
        record = await _CLUSTERS.get(tx, register.cluster)
        others = [] if shared else await _CLUSTERS.page(tx, Query(limit=_MOST_CLUSTERS))
        check_prefix(record, profile, "" if shared else self._objects.prefix, others)
        return "" if shared else profile.prefix

    def connection(self, cluster: str) -> Connection | None:
        """Return the stream of a cluster's data plane, if it ends here."""
        return self._connections.get(cluster)

    def connections(self) -> list[Connection]:
        """Return the streams that end here."""
        return list(self._connections.values())

    def connected(self) -> list[str]:
        """Return the clusters whose streams end here."""
        return list(self._connections)

    def disconnect(self, connection: Connection, error: Exception | None = None) -> None:
        """End the stream, with an error that its data plane gets to see, and forget it; what it holds stays its own."""
        connection.close(error)
        if self._connections.get(connection.cluster) is connection:
            del self._connections[connection.cluster]
        self._connected(bool(self._connections))

    async def heartbeat(self, connection: Connection) -> None:
        """Note that the data plane lives."""
        async with self._database.transaction() as tx:
            current = await clusters.record_heartbeat(tx, connection.cluster, connection.epoch, self._now())
        if not current:
            self.disconnect(connection, _superseded(connection.cluster))

    async def acknowledge(self, connection: Connection, ack: link_pb2.Ack) -> None:
        """Give the execution to the data plane for good, or revoke it if the lease is not the newest one."""
        execution = _key(ack.id)
        async with self._database.transaction() as tx:
            await store.lock_execution(tx, execution)
            record = await store.get(tx, execution)
            ours = (
                record is not None
                and record.cluster == connection.cluster
                and record.epoch == ack.epoch
                and record.state is not DispatchState.QUEUED
                and await clusters.is_current(tx, connection.cluster, connection.epoch)
            )
            if record is not None and ours and record.state is DispatchState.LEASED:
                await store.hold(tx, record, connection.cluster, self._now())
        if record is None or not ours:
            _log.warning("late acknowledgement of %s by %s refused", execution, connection.cluster)
            if not self._still_offered(record, connection):
                connection.revoke(execution)
        elif record.abort_cause is not None:
            connection.abort(execution, record.abort_cause)
        self.look()

    async def finish(self, connection: Connection, finished: link_pb2.Finished) -> None:
        """Forget an execution that has ended and whose last event is here."""
        async with self._database.transaction() as tx:
            record = await store.get(tx, _key(finished.id))
            leased = record is not None and record.state is not DispatchState.QUEUED
            if (
                record is not None
                and leased
                and record.cluster == connection.cluster
                and await clusters.is_current(tx, connection.cluster, connection.epoch)
            ):
                await store.remove(tx, [record.id])
        connection.aborted.discard(_key(finished.id))

    # The work on the queue

    async def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                await self._serve()
            except Exception:  # noqa: BLE001 - one failed look at the queue must not be the last
                _log.exception("dispatch failed, trying again")
                await asyncio.sleep(_PAUSE_SECONDS)
            await set_within(self._wake, self.config.poll_interval.total_seconds())

    async def _serve(self) -> None:
        """Write all decisions that are due, then send what follows from them."""
        await self._tend(self._now())
        if not self._connections:
            return
        async with self._database.transaction() as tx:
            at = self._now()
            connections = await self._current(tx)
            claimed = await self._claim(tx, connections, at)
            aborts = await store.aborting(tx, connections)
            until = at + self.config.lease_ttl
        for record in aborts:
            connection = connections[record.cluster]
            if record.execution not in connection.aborted:
                connection.abort(record.execution, record.abort_cause or "")
        offers = [asyncio.create_task(self._offer(*claim, until)) for claim in claimed]
        for task in offers:
            self._offers.add(task)
            task.add_done_callback(self._offers.discard)
        if offers:
            # Together they are claimed with fewer transactions; but what one needs may lie where nobody answers soon.
            await asyncio.wait(offers, timeout=_TOGETHER_SECONDS)

    async def _tend(self, at: datetime) -> None:
        """Write what time has brought about, once an interval: silent clusters, leases that have ended."""
        if self._tended is not None and at < self._tended + self.config.poll_interval:
            return
        # While no replica was there nobody was silent, and an Ack may have been lost: who comes back in time says so.
        back = at < self._started + self.config.heartbeat_timeout
        async with self._database.transaction() as tx:
            lost = [] if back else await clusters.mark_lost(tx, at - self.config.heartbeat_timeout, at)
            ended = await store.expire(tx, at, after=self._started if back else None)
        self._tended = at
        for record in ended:
            _log.warning("%s did not acknowledge %s in time", record.cluster, record.execution)
        for name in lost:
            _log.warning("cluster %s is lost: no heartbeat for %s", name, self.config.heartbeat_timeout)
            connection = self._connections.get(name)
            if connection is not None:
                # A half-open stream: a data plane that still lives connects again.
                self.disconnect(connection, FailedPreconditionError("no heartbeat in time"))

    async def _current(self, tx: AsyncConnection) -> dict[str, Connection]:
        """Return the connections by which clusters speak now; one that has gone to another replica is closed here."""
        epochs = await clusters.current_connections(tx, self._connections)
        current = {}
        for name, connection in list(self._connections.items()):
            if epochs.get(name) == connection.epoch:
                current[name] = connection
            elif name not in epochs:
                self.disconnect(connection, FailedPreconditionError(f"cluster {name!r} was deleted"))
            else:
                self.disconnect(connection, _superseded(name))
        return current

    async def _claim(
        self, tx: AsyncConnection, connections: Mapping[str, Connection], at: datetime
    ) -> list[tuple[DispatchRecord, Connection, int]]:
        """Lease what is queued to the data planes that are connected here and have room."""
        ready = [cluster for cluster in await clusters.known_clusters(tx) if cluster.state is ClusterState.READY]
        room = await self._room(tx, connections, ready)
        claimed: list[tuple[DispatchRecord, Connection, int]] = []
        last_id = 0
        while any(free > 0 for free in room.values()):
            page = await store.queued(tx, at, after_id=last_id, limit=_PAGE)
            gone = [record.id for record, phase in page if phase in _ENDED]
            if gone:
                await store.remove(tx, gone)
            chosen = self._choose([record for record, phase in page if phase not in _ENDED], ready, room)
            for name, records in chosen.items():
                ids = [record.id for record in records]
                epochs = await store.lease(tx, ids, name, at + self.config.lease_ttl, at)
                room[name] -= len(epochs)
                claimed += [(record, connections[name], epochs[record.id]) for record in records if record.id in epochs]
            if len(page) < _PAGE:
                break
            last_id = page[-1][0].id
        return claimed

    async def _room(
        self, tx: AsyncConnection, connections: Mapping[str, Connection], ready: Sequence[Cluster]
    ) -> dict[str, int]:
        """Return how many more may be leased now to each cluster that is connected here and ready."""
        offered = await store.offered(tx, connections)
        limits = {one.name: one.capacity for one in ready if one.capacity and one.name in connections}
        counts = await store.counts(tx, limits) if limits else {}
        # Leases that have ended may wait for a data plane that takes nothing: it is given no more either.
        taken = {name: max(offered.get(name, 0), connection.unsent) for name, connection in connections.items()}
        most = self.config.unacknowledged_limit
        room = {one.name: most - taken[one.name] for one in ready if one.name in connections}
        for name, limit in limits.items():
            has = counts.get((name, DispatchState.LEASED), 0) + counts.get((name, DispatchState.ACKED), 0)
            room[name] = min(room[name], limit - has)
        return room

    def _choose(
        self, records: Sequence[DispatchRecord], ready: Sequence[Cluster], room: Mapping[str, int]
    ) -> dict[str, list[DispatchRecord]]:
        """Return by cluster what is to be leased to those that are connected here, as much as they have room for."""
        chosen: dict[str, list[DispatchRecord]] = {}
        for record in records:
            cluster = self._pick(record, ready)
            if cluster is not None and len(chosen.get(cluster.name, ())) < room.get(cluster.name, 0):
                chosen.setdefault(cluster.name, []).append(record)
        return chosen

    def _pick(self, record: DispatchRecord, ready: Sequence[Cluster]) -> Cluster | None:
        # Its parent's cluster, or the one that it was offered to before: what it needs is there.
        return choose(record.execution.name, record.cluster_label, ready, self.config.weights, near=record.cluster)

    async def _offer(self, record: DispatchRecord, connection: Connection, epoch: int, until: datetime) -> None:
        try:
            lease = await self._leases.build(record.execution, epoch, self.config.lease_ttl, connection.storage)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with this one, the others go on
            try:
                await self._return(record, epoch, error)
            except Exception:  # noqa: BLE001 - then its lease ends by itself
                _log.exception("%s, which cannot be leased, is left to the end of its lease", record.execution)
            return
        # Counted from the claim: until then nobody else is offered it, and after it somebody may have it.
        lease.ttl.FromTimedelta(max(until - self._now(), timedelta(0)))
        connection.send(link_pb2.ToDataPlane(lease=lease), until)

    async def _return(self, record: DispatchRecord, epoch: int, error: Exception) -> None:
        if self._give_up is None or not self._is_hopeless(record, error):
            await self._postpone(record, epoch, error)
        else:
            await self._abandon(record.execution, epoch, error, self._give_up)

    def _is_hopeless(self, record: DispatchRecord, error: Exception) -> bool:
        """Say whether the error will not pass by itself, and that was found often enough."""
        passing = isinstance(error, FlyteformError) and error.retryable
        return not passing and record.failures + 1 >= self.config.attempts

    async def _abandon(self, execution: ExecutionKey, epoch: int, error: Exception, give_up: GiveUp) -> None:
        """End an execution whose parts are gone; after a crash in between, the queue forgets what has ended."""
        _log.error("cannot lease %s, giving up: %s", execution, error)
        async with self._database.reading() as tx:
            records = await store.get_many(tx, [execution])
        for record in records:
            if record.epoch == epoch and record.state is DispatchState.LEASED:
                message = f"its closure or inputs cannot be read: {error}"
                await give_up(record, message)
                async with self._database.transaction() as tx:
                    await store.remove(tx, [record.id])

    async def _postpone(self, record: DispatchRecord, epoch: int, error: Exception) -> None:
        """Put an execution whose parts cannot be read back into the queue, for longer each time."""
        failures = record.failures + 1
        delay = min(timedelta(seconds=2 ** min(failures, 10)), _LONGEST_DELAY)
        unforeseen = not isinstance(error, FlyteformError)
        _log.error("cannot lease %s, trying again in %s: %s", record.execution, delay, error, exc_info=unforeseen)
        async with self._database.transaction() as tx:
            at = self._now()
            await store.postpone(tx, record, epoch, at, due_at=at + delay, failures=failures)

    async def _reconcile(
        self, tx: AsyncConnection, cluster: str, held: set[ExecutionKey], at: datetime
    ) -> list[ExecutionKey]:
        """Make the rows agree with what the data plane says it holds; return what it must let go.

        What was leased to it last is its own, even if its Ack was lost and the execution is queued again since; what
        was leased to another meanwhile is that other's, who may run it already.
        What it should hold and does not, it has lost, or never got: that goes back into the queue.
        """
        theirs = await store.held_by(tx, cluster)
        await store.take_back(tx, [record.id for record in theirs if record.execution not in held], cluster, at)
        known = {record.execution for record in theirs if record.state is DispatchState.ACKED}
        # In the order in which others lock several executions.
        unsure = sorted(held - known, key=astuple)
        own = {record.execution for record in await store.get_many(tx, unsure) if record.cluster == cluster}
        return [one for one in unsure if one not in own or not await self._keeps(tx, one, cluster, at)]

    @staticmethod
    async def _keeps(tx: AsyncConnection, execution: ExecutionKey, cluster: str, at: datetime) -> bool:
        """Give the cluster an execution that it holds and has not acknowledged here; False if it is another's."""
        await store.lock_execution(tx, execution)
        record = await store.get(tx, execution)
        if record is None or record.cluster != cluster:
            return False
        if record.state is not DispatchState.ACKED:
            await store.hold(tx, record, cluster, at)
        return True

    @staticmethod
    def _still_offered(record: DispatchRecord | None, connection: Connection) -> bool:
        """Say whether a newer lease of the execution is on its way to the same data plane."""
        return record is not None and record.state is DispatchState.LEASED and record.cluster == connection.cluster


def _superseded(cluster: str) -> FailedPreconditionError:
    return FailedPreconditionError(f"cluster {cluster!r} has connected anew, or its identity was changed")


def _registration(register: link_pb2.Register) -> Registration:
    return Registration(
        labels=tuple(register.labels),
        version=register.version,
        kubernetes_version=register.kubernetes_version,
        capacity=register.capacity,
        storage=register.storage.SerializeToString(),
    )


def _key(identifier: WorkflowExecutionIdentifier) -> ExecutionKey:
    return ExecutionKey(identifier.project, identifier.domain, identifier.name)
