"""Events of executions, nodes and attempts: applied in order, many in one transaction (contract 1.5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flyteidl.admin import event_pb2

from flyteform.proto.flyteform.v1 import events_pb2
from flyteform_controlplane.domain.event_checks import check_node_event, check_task_event, check_workflow_event
from flyteform_controlplane.domain.principals import principal_of
from flyteform_controlplane.errors import ControlPlaneError, EntityExistsError, TransactionConflictError
from flyteform_controlplane.services.event_data import store_event_data
from flyteform_controlplane.services.event_holders import foreign_executions, refusal_of
from flyteform_controlplane.services.event_queue import EventQueue
from flyteform_controlplane.services.event_steps import apply_event, touched_by
from flyteform_controlplane.services.event_work import EventWork

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform.proto.flyteform.v1.events_pb2 import Event
    from flyteform_controlplane.domain.principals import Principal
    from flyteform_controlplane.services.backend import Backend
    from flyteform_controlplane.services.concurrency import Concurrency

# Keeps a transaction short for other writers, and a statement below the databases' limits of parameters.
_MAX_BATCH = 500


@dataclass(frozen=True, slots=True)
class Events:
    """The AdminService's methods about events."""

    backend: Backend
    concurrency: Concurrency
    queue: EventQueue = field(init=False)

    def __post_init__(self) -> None:
        """Gather single events for `apply`."""
        object.__setattr__(self, "queue", EventQueue(self.apply))

    async def CreateWorkflowEvent(
        self, request: event_pb2.WorkflowExecutionEventRequest, context: object
    ) -> event_pb2.WorkflowExecutionEventResponse:
        """Record a phase of an execution."""
        await self._apply_one(events_pb2.Event(workflow=request), principal_of(context))
        return event_pb2.WorkflowExecutionEventResponse()

    async def CreateNodeEvent(
        self, request: event_pb2.NodeExecutionEventRequest, context: object
    ) -> event_pb2.NodeExecutionEventResponse:
        """Record a phase of a node."""
        await self._apply_one(events_pb2.Event(node=request), principal_of(context))
        return event_pb2.NodeExecutionEventResponse()

    async def CreateTaskEvent(
        self, request: event_pb2.TaskExecutionEventRequest, context: object
    ) -> event_pb2.TaskExecutionEventResponse:
        """Record a phase of an attempt."""
        await self._apply_one(events_pb2.Event(task=request), principal_of(context))
        return event_pb2.TaskExecutionEventResponse()

    async def apply(
        self, events: Sequence[Event], principal: Principal | None = None
    ) -> list[ControlPlaneError | None]:
        """Apply events in order and return for each its refusal, or None; a refused one does not stop the others.

        A `principal` that is a data plane may only report on what is leased to its cluster.
        """
        refusals: list[ControlPlaneError | None] = []
        for start in range(0, len(events), _MAX_BATCH):
            refusals += await self._apply_batch(events[start : start + _MAX_BATCH], principal)
        return refusals

    async def _apply_one(self, event: Event, principal: Principal | None) -> None:
        refusal = await self.queue.put(event, principal)
        if refusal is not None:
            raise refusal

    async def _apply_batch(
        self, events: Sequence[Event], principal: Principal | None
    ) -> list[ControlPlaneError | None]:
        refusals = [self._check(event) for event in events]
        if principal is not None and principal.cluster:
            cluster = principal.cluster
            foreign = await foreign_executions(self.backend, events, cluster)
            refusals = [
                refusal or refusal_of(event, foreign, cluster) for event, refusal in zip(events, refusals, strict=True)
            ]
        valid = [event for event, refusal in zip(events, refusals, strict=True) if refusal is None]
        closures = [await store_event_data(self.backend, event) for event in valid]
        applied = await self._write_seen(valid, closures)
        if applied is None:
            applied = await self._write_locked(valid, closures)
        results = iter(applied)
        return [next(results) if refusal is None else refusal for refusal in refusals]

    async def _write_seen(
        self, events: Sequence[Event], closures: Sequence[str]
    ) -> list[ControlPlaneError | None] | None:
        """Apply events in two steps without a lock in between; None, and nothing is written, if that cannot be.

        Mostly nobody else reports on the same nodes, and then this is one round trip for each table and one to write.
        """
        touched = touched_by(events)
        if touched.executions.changed:
            return None
        work = EventWork(self.backend.store)
        async with self.backend.database.reading() as tx:
            await work.see(tx, touched)
        applied = [_apply(work, event, closure) for event, closure in zip(events, closures, strict=True)]
        if not work.is_flat:
            return None
        try:
            async with self.backend.database.together() as tx:
                await work.send(tx)
        except (TransactionConflictError, EntityExistsError):
            return None
        return applied

    async def _write_locked(self, events: Sequence[Event], closures: Sequence[str]) -> list[ControlPlaneError | None]:
        """Apply events in one transaction that locks what they change."""
        work = EventWork(self.backend.store)
        async with self.backend.database.transaction() as tx:
            await work.load(tx, touched_by(events))
            applied = [_apply(work, event, closure) for event, closure in zip(events, closures, strict=True)]
            await work.flush(tx)
            slots = {record.launch_plan_id for record in work.ended if record.launch_plan_id}
            started = await self.concurrency.release(tx, slots)
        if started:
            self.backend.dispatch.wake()
        return applied

    def _check(self, event: Event) -> ControlPlaneError | None:
        limit = self.backend.config.max_inline_bytes
        try:
            match event.WhichOneof("event"):
                case "workflow":
                    check_workflow_event(event.workflow.event, limit)
                case "node":
                    check_node_event(event.node.event, limit)
                case _:
                    check_task_event(event.task.event, limit)
        except ControlPlaneError as refusal:
            return refusal
        return None


def _apply(work: EventWork, event: Event, closure_uri: str) -> ControlPlaneError | None:
    try:
        apply_event(work, event, closure_uri)
    except ControlPlaneError as refusal:
        return refusal
    return None
