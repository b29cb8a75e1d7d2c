"""Which executions a data plane may report on: those that are leased to its cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform_controlplane.domain.dispatches import DispatchState
from flyteform_controlplane.errors import PermissionDeniedError
from flyteform_controlplane.services.event_steps import execution_of
from flyteform_controlplane.store.sql import dispatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform.proto.flyteform.v1.events_pb2 import Event
    from flyteform_controlplane.domain.ports import ExecutionKey
    from flyteform_controlplane.services.backend import Backend
    from flyteform_controlplane.store.ports import Key


async def foreign_executions(backend: Backend, events: Sequence[Event], cluster: str) -> frozenset[ExecutionKey]:
    """Return which of the executions that the events are about are not the cluster's; unknown ones are nobody's.

    An execution is the cluster's from its lease on, which comes before its Ack, and after its end until another has it.
    """
    names: dict[Key, ExecutionKey] = {
        (name.project, name.domain, name.name): name for name in map(execution_of, events)
    }
    async with backend.database.transaction() as tx:
        records = await backend.store.executions.get_many(tx, names)
        leases = {lease.execution: lease for lease in await dispatch.get_many(tx, names.values())}
    holders = {names[key]: record.cluster for key, record in records.items()}
    for name, lease in leases.items():
        holders[name] = "" if lease.state is DispatchState.QUEUED else lease.cluster
    return frozenset(name for name, holder in holders.items() if holder != cluster)


def refusal_of(event: Event, foreign: frozenset[ExecutionKey], cluster: str) -> PermissionDeniedError | None:
    """Return the refusal of an event about an execution of another cluster."""
    name = execution_of(event)
    if name in foreign:
        return PermissionDeniedError(f"execution {name.name} is not leased to cluster {cluster!r}")
    return None
