"""Executions: their creation, what is known of them, and their end by request."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flyteidl.admin import execution_pb2
from flyteidl.admin.execution_pb2 import EXECUTION_ACTIVE, ExecutionMetadata
from flyteidl.core.literals_pb2 import LiteralMap

from flyteform_controlplane.domain.executions import change_state
from flyteform_controlplane.domain.filters import Entity, Filter, Function, Query, Sort
from flyteform_controlplane.domain.paging import next_token, parse_query
from flyteform_controlplane.domain.ports import ExecutionKey
from flyteform_controlplane.domain.principals import principal_of
from flyteform_controlplane.domain.validation import check_execution, check_scope
from flyteform_controlplane.errors import InvalidArgumentError
from flyteform_controlplane.services.execution_data import read_data, read_outputs
from flyteform_controlplane.services.execution_messages import execution_message
from flyteform_controlplane.services.splicing import EXECUTION_COLUMNS, execution_list

if TYPE_CHECKING:
    from flyteidl.admin.common_pb2 import ResourceListRequest
    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.domain.records import ExecutionRecord
    from flyteform_controlplane.services.backend import Backend
    from flyteform_controlplane.services.ending import Ending
    from flyteform_controlplane.services.launching import Launching

_SCOPE = ("execution_project", "execution_domain")


@dataclass(frozen=True, slots=True)
class Executions:
    """The AdminService's methods about executions."""

    backend: Backend
    launching: Launching
    ending: Ending

    async def CreateExecution(
        self, request: execution_pb2.ExecutionCreateRequest, context: object
    ) -> execution_pb2.ExecutionCreateResponse:
        """Start a launch plan or a single task."""
        name = await self.launching.launch(request, mode=request.spec.metadata.mode, principal=_subject(context))
        return execution_pb2.ExecutionCreateResponse(id=name)

    async def RelaunchExecution(
        self, request: execution_pb2.ExecutionRelaunchRequest, context: object
    ) -> execution_pb2.ExecutionCreateResponse:
        """Start the same again, with the same spec and the inputs that were given then."""
        record = await self._read(request.id)
        again = await self._again(record, request.id, request.name)
        again.spec.overwrite_cache = request.overwrite_cache
        name = await self.launching.launch(again, mode=ExecutionMetadata.RELAUNCH, principal=_subject(context))
        return execution_pb2.ExecutionCreateResponse(id=name)

    async def RecoverExecution(
        self, request: execution_pb2.ExecutionRecoverRequest, context: object
    ) -> execution_pb2.ExecutionCreateResponse:
        """Start an execution that takes over the nodes of another that have succeeded: so far, if that still runs."""
        record = await self._read(request.id)
        again = await self._again(record, request.id, request.name)
        if request.metadata.HasField("parent_node_execution"):
            again.spec.metadata.parent_node_execution.CopyFrom(request.metadata.parent_node_execution)
        name = await self.launching.launch(again, mode=ExecutionMetadata.RECOVERED, principal=_subject(context))
        return execution_pb2.ExecutionCreateResponse(id=name)

    async def GetExecution(
        self, request: execution_pb2.WorkflowExecutionGetRequest, _context: object
    ) -> execution_pb2.Execution:
        """Return one execution."""
        return execution_message(await self._read(request.id))

    async def GetExecutionData(
        self, request: execution_pb2.WorkflowExecutionGetDataRequest, _context: object
    ) -> execution_pb2.WorkflowExecutionGetDataResponse:
        """Return inputs and outputs: signed URLs, and the values if they are small."""
        record = await self._read(request.id)
        inputs = await read_data(self.backend, record.inputs_uri)
        outputs = await read_outputs(self.backend, record.closure)
        return execution_pb2.WorkflowExecutionGetDataResponse(
            inputs=inputs.blob, outputs=outputs.blob, full_inputs=inputs.literals, full_outputs=outputs.literals
        )

    async def ListExecutions(self, request: ResourceListRequest, _context: object) -> execution_pb2.ExecutionList:
        """Return a page of executions in a project and domain; archived ones only if filtered by state."""
        check_scope(request.id)
        query, state = _listed(parse_query(request, Entity.EXECUTION))
        where: dict[str, str | int] = dict(zip(_SCOPE, (request.id.project, request.id.domain), strict=True))
        async with self.backend.database.reading() as tx:
            rows = await self.backend.store.executions.stored(tx, EXECUTION_COLUMNS, query, where | state)
        return execution_list(rows, next_token(query, rows), self.backend.config.list_error_message_length)

    async def UpdateExecution(
        self, request: execution_pb2.ExecutionUpdateRequest, context: object
    ) -> execution_pb2.ExecutionUpdateResponse:
        """Archive an execution, or take it out of the archive."""
        check_execution(request.id)
        if request.state not in execution_pb2.ExecutionState.values():
            raise InvalidArgumentError(f"invalid value for state: {request.state}")
        async with self.backend.database.transaction() as tx:
            record = await self.backend.execution(tx, request.id)
            changed = change_state(record, request.state, _subject(context) or record.user)
            await self.backend.store.executions.save_many(tx, [changed])
        return execution_pb2.ExecutionUpdateResponse()

    async def TerminateExecution(
        self, request: execution_pb2.ExecutionTerminateRequest, context: object
    ) -> execution_pb2.ExecutionTerminateResponse:
        """Ask for the end of an execution; FAILED_PRECONDITION if it has ended."""
        check_execution(request.id)
        key = ExecutionKey(request.id.project, request.id.domain, request.id.name)
        await self.ending.terminate(key, request.cause, _subject(context) or None)
        return execution_pb2.ExecutionTerminateResponse()

    async def _again(
        self, record: ExecutionRecord, former: WorkflowExecutionIdentifier, name: str
    ) -> execution_pb2.ExecutionCreateRequest:
        """Return the request that would create the same execution."""
        inputs = await self.backend.read_message(record.user_inputs_uri, LiteralMap)
        request = execution_pb2.ExecutionCreateRequest(
            project=record.execution_project,
            domain=record.execution_domain,
            name=name,
            spec=record.spec,
            inputs=inputs,
        )
        metadata = ExecutionMetadata(reference_execution=former)
        request.spec.metadata.CopyFrom(metadata)
        return request

    async def _read(self, name: WorkflowExecutionIdentifier) -> ExecutionRecord:
        check_execution(name)
        async with self.backend.database.reading() as tx:
            return await self.backend.execution(tx, name)


async def prepare_lists(backend: Backend, tx: AsyncConnection) -> None:
    """Get ready for the lists that clients begin with: the newest executions."""
    nowhere: dict[str, str | int] = {**dict.fromkeys(_SCOPE, ""), "state": EXECUTION_ACTIVE}
    await backend.store.executions.prepare(tx, EXECUTION_COLUMNS, Sort("created_at", ascending=False), nowhere)


def _listed(query: Query) -> tuple[Query, dict[str, str | int]]:
    """Return the query and the state that the list is limited to, oldest first where no order is asked for.

    A list of one state is one that can be paged through as it lies in the database; the console names the state.
    """
    if query.sort is None:
        query = replace(query, sort=Sort("created_at", ascending=True))
    if not query.constrains("state"):
        return query, {"state": EXECUTION_ACTIVE}
    match query.filters:
        case (Filter(function=Function.EQUAL, entity=None, values=("0" | "1" as state,)),):
            return replace(query, filters=()), {"state": int(state)}
    return query, {}


def _subject(context: object) -> str:
    """Return who calls; "" where nobody has to log in."""
    principal = principal_of(context)
    return principal.subject if principal else ""
