"""The executions of nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteidl.admin import node_execution_pb2
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure

from flyteform_controlplane.domain.filters import Entity
from flyteform_controlplane.domain.paging import next_token, parse_query
from flyteform_controlplane.domain.validation import check_execution, check_node
from flyteform_controlplane.errors import MissingEntityError
from flyteform_controlplane.services.execution_data import read_data, read_outputs
from flyteform_controlplane.services.execution_messages import node_message
from flyteform_controlplane.services.flyte_urls import node_urls
from flyteform_controlplane.services.splicing import NODE_COLUMNS, node_list
from flyteform_controlplane.services.task_executions import find_task, task_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteidl.core.identifier_pb2 import NodeExecutionIdentifier
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.domain.filters import Query
    from flyteform_controlplane.domain.records import NodeExecutionRecord
    from flyteform_controlplane.services.backend import Backend


@dataclass(frozen=True, slots=True)
class NodeExecutions:
    """The AdminService's methods about the executions of nodes."""

    backend: Backend

    async def GetNodeExecution(
        self, request: node_execution_pb2.NodeExecutionGetRequest, _context: object
    ) -> node_execution_pb2.NodeExecution:
        """Return one node's execution."""
        return node_message(await self._read(request.id))

    async def ListNodeExecutions(
        self, request: node_execution_pb2.NodeExecutionListRequest, _context: object
    ) -> node_execution_pb2.NodeExecutionList:
        """Return a page of an execution's nodes: those of the top, or those of one parent node."""
        name = request.workflow_execution_id
        check_execution(name)
        query = parse_query(request, Entity.NODE_EXECUTION)
        scope = {
            "execution_project": name.project,
            "execution_domain": name.domain,
            "execution_name": name.name,
            "parent_task_execution_id": None,
        }
        async with self.backend.database.reading() as tx:
            parent_id = None
            if request.unique_parent_id:
                key = (name.project, name.domain, name.name, request.unique_parent_id)
                parent = await self.backend.store.node_executions.get(tx, *key)
                if parent is None:
                    raise MissingEntityError(f"missing node execution {request.unique_parent_id} in {name.name}")
                parent_id = parent.id
            return await self._list(tx, query, {**scope, "parent_id": parent_id})

    async def ListNodeExecutionsForTask(
        self, request: node_execution_pb2.NodeExecutionForTaskListRequest, _context: object
    ) -> node_execution_pb2.NodeExecutionList:
        """Return a page of the nodes that an attempt started."""
        task_key(request.task_execution_id)
        query = parse_query(request, Entity.NODE_EXECUTION)
        async with self.backend.database.reading() as tx:
            parent = await find_task(self.backend, tx, request.task_execution_id)
            return await self._list(tx, query, {"parent_task_execution_id": parent.id})

    async def GetNodeExecutionData(
        self, request: node_execution_pb2.NodeExecutionGetDataRequest, _context: object
    ) -> node_execution_pb2.NodeExecutionGetDataResponse:
        """Return inputs and outputs, and for a dynamic node the workflow that it made."""
        record = await self._read(request.id)
        inputs = await read_data(self.backend, record.input_uri)
        outputs = await read_outputs(self.backend, record.closure)
        response = node_execution_pb2.NodeExecutionGetDataResponse(
            inputs=inputs.blob,
            outputs=outputs.blob,
            full_inputs=inputs.literals,
            full_outputs=outputs.literals,
            flyte_urls=node_urls(record),
        )
        if record.dynamic_workflow_remote_closure_reference:
            closure = await self._dynamic_closure(record)
            response.dynamic_workflow.id.CopyFrom(closure.primary.template.id)
            response.dynamic_workflow.compiled_workflow.CopyFrom(closure)
            response.dynamic_workflow.dynamic_job_spec_uri = record.closure.dynamic_job_spec_uri
        return response

    async def GetDynamicNodeWorkflow(
        self, request: node_execution_pb2.GetDynamicNodeWorkflowRequest, _context: object
    ) -> node_execution_pb2.DynamicNodeWorkflowResponse:
        """Return the workflow that a dynamic node made."""
        record = await self._read(request.id)
        if not record.dynamic_workflow_remote_closure_reference:
            raise MissingEntityError(f"node {record.node_id} has made no dynamic workflow")
        closure = await self._dynamic_closure(record)
        return node_execution_pb2.DynamicNodeWorkflowResponse(compiled_workflow=closure)

    async def _list(
        self, tx: AsyncConnection, query: Query, scope: Mapping[str, str | int | None]
    ) -> node_execution_pb2.NodeExecutionList:
        rows = await self.backend.store.node_executions.stored(tx, NODE_COLUMNS, query, scope)
        return node_list(rows, next_token(query, rows), self.backend.config.list_error_message_length)

    async def _dynamic_closure(self, record: NodeExecutionRecord) -> CompiledWorkflowClosure:
        uri = record.dynamic_workflow_remote_closure_reference
        return await self.backend.read_message(uri, CompiledWorkflowClosure)

    async def _read(self, identifier: NodeExecutionIdentifier) -> NodeExecutionRecord:
        check_node(identifier)
        async with self.backend.database.reading() as tx:
            return await find_node(self.backend, tx, identifier)


async def find_node(backend: Backend, tx: AsyncConnection, identifier: NodeExecutionIdentifier) -> NodeExecutionRecord:
    """Return a node's execution; `MissingEntityError` if there is none."""
    name = identifier.execution_id
    record = await backend.store.node_executions.get(tx, name.project, name.domain, name.name, identifier.node_id)
    if record is None:
        raise MissingEntityError(
            f"missing node execution {identifier.node_id} of {name.project}:{name.domain}:{name.name}"
        )
    return record
