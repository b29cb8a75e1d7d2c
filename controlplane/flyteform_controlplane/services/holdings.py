"""The interceptor that keeps data planes to what is theirs: the executions that they hold, and children of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyteidl.admin.execution_pb2 import ExecutionMetadata

from flyteform_controlplane.domain.dispatches import DispatchState
from flyteform_controlplane.domain.filters import Query, Sort
from flyteform_controlplane.domain.ports import ExecutionKey
from flyteform_controlplane.errors import PermissionDeniedError
from flyteform_controlplane.store.sql import dispatch
from flyteform_controlplane.store.sql.store import SqlStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.domain.records import ExecutionRecord
    from flyteform_controlplane.store.database import Database
    from flyteform_controlplane.transport.calls import Call, Handler, Interceptor

_SERVICES = ("/flyteidl.service.AdminService", "/flyteidl.service.SignalService")
# Who recovers an execution more often than that at the same time has to wait for the former ones.
_LOOKED_AT = 20
_CREATING = ("CreateExecution", "RecoverExecution")
# Which execution a request of a data plane is about.
_NAMED: dict[str, Callable[[Any], WorkflowExecutionIdentifier]] = {
    "CreateExecution": lambda request: request.spec.metadata.parent_node_execution.execution_id,
    "RecoverExecution": lambda request: request.metadata.parent_node_execution.execution_id,
    "GetExecution": lambda request: request.id,
    "GetExecutionData": lambda request: request.id,
    "TerminateExecution": lambda request: request.id,
    "ListNodeExecutions": lambda request: request.workflow_execution_id,
    "GetOrCreateSignal": lambda request: request.id.execution_id,
}
_EXECUTIONS = SqlStore().executions


def holdings(database: Database) -> Interceptor:
    """Return the interceptor; it looks at the calls of data planes only."""

    async def interceptor(call: Call, proceed: Handler) -> Any:
        cluster = call.principal.cluster if call.principal is not None else ""
        if cluster and not await _allowed(database, cluster, call.method, call.request):
            method = call.method.rpartition("/")[2]
            raise PermissionDeniedError(f"{method}: cluster {cluster!r} does not hold that execution, nor its parent")
        return await proceed(call)

    return interceptor


async def _allowed(database: Database, cluster: str, method: str, request: Any) -> bool:
    service, _, name = method.rpartition("/")
    if service not in _SERVICES or name not in _NAMED:
        return True
    if name == "CreateExecution" and request.spec.metadata.mode != ExecutionMetadata.CHILD_WORKFLOW:
        return False
    async with database.reading() as tx:
        record = await _read(tx, _NAMED[name](request))
        if record is None:  # for the method itself to say, but what is created has a parent
            return name not in _CREATING
        return await _is_own(tx, cluster, record)


async def _is_own(tx: AsyncConnection, cluster: str, record: ExecutionRecord) -> bool:
    """Whether the cluster holds an execution, the parent of it, or one that recovers it."""
    if await _holds(tx, cluster, record):
        return True
    metadata = record.spec.metadata
    if metadata.HasField("parent_node_execution"):
        parent = await _read(tx, metadata.parent_node_execution.execution_id)
        if parent is not None and await _holds(tx, cluster, parent):
            return True
    after: dict[str, str | int | None] = {
        "source_execution_id": record.id,
        "mode": ExecutionMetadata.RECOVERED,
    }
    newest = Query(sort=Sort("id", ascending=False), limit=_LOOKED_AT)
    for later in await _EXECUTIONS.page(tx, newest, after):
        if await _holds(tx, cluster, later):
            return True
    return False


async def _holds(tx: AsyncConnection, cluster: str, record: ExecutionRecord) -> bool:
    """Whether the execution is the cluster's: from its lease on, which comes before its Ack."""
    key = ExecutionKey(record.execution_project, record.execution_domain, record.execution_name)
    leases = await dispatch.get_many(tx, [key])
    if not leases:
        return record.cluster == cluster
    return leases[0].state is not DispatchState.QUEUED and leases[0].cluster == cluster


async def _read(tx: AsyncConnection, name: WorkflowExecutionIdentifier) -> ExecutionRecord | None:
    return await _EXECUTIONS.get(tx, name.project, name.domain, name.name)
