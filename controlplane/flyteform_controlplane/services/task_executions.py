"""The attempts of tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteidl.admin import task_execution_pb2
from flyteidl.core.identifier_pb2 import ResourceType

from flyteform_controlplane.domain.filters import Entity
from flyteform_controlplane.domain.paging import next_token, parse_query
from flyteform_controlplane.domain.validation import check_identifier, check_node
from flyteform_controlplane.errors import MissingEntityError
from flyteform_controlplane.services.execution_data import read_data, read_outputs
from flyteform_controlplane.services.execution_messages import task_message
from flyteform_controlplane.services.flyte_urls import task_urls

if TYPE_CHECKING:
    from flyteidl.core.identifier_pb2 import TaskExecutionIdentifier
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.domain.records import TaskExecutionRecord
    from flyteform_controlplane.services.backend import Backend


@dataclass(frozen=True, slots=True)
class TaskExecutions:
    """The AdminService's methods about attempts."""

    backend: Backend

    async def GetTaskExecution(
        self, request: task_execution_pb2.TaskExecutionGetRequest, _context: object
    ) -> task_execution_pb2.TaskExecution:
        """Return one attempt."""
        async with self.backend.database.reading() as tx:
            record = await find_task(self.backend, tx, request.id)
            parents = await self.backend.store.tasks_with_nodes(tx, [record.id])
        return task_message(record, is_parent=record.id in parents)

    async def ListTaskExecutions(
        self, request: task_execution_pb2.TaskExecutionListRequest, _context: object
    ) -> task_execution_pb2.TaskExecutionList:
        """Return a page of a node's attempts."""
        node = request.node_execution_id
        check_node(node)
        query = parse_query(request, Entity.TASK_EXECUTION)
        scope: dict[str, str | int | None] = {
            "execution_project": node.execution_id.project,
            "execution_domain": node.execution_id.domain,
            "execution_name": node.execution_id.name,
            "node_id": node.node_id,
        }
        async with self.backend.database.reading() as tx:
            rows = await self.backend.store.task_executions.page(tx, query, scope)
            parents = await self.backend.store.tasks_with_nodes(tx, [row.id for row in rows])
        length = self.backend.config.list_error_message_length
        attempts = [task_message(row, length, is_parent=row.id in parents) for row in rows]
        return task_execution_pb2.TaskExecutionList(task_executions=attempts, token=next_token(query, rows))

    async def GetTaskExecutionData(
        self, request: task_execution_pb2.TaskExecutionGetDataRequest, _context: object
    ) -> task_execution_pb2.TaskExecutionGetDataResponse:
        """Return inputs and outputs of one attempt."""
        async with self.backend.database.reading() as tx:
            record = await find_task(self.backend, tx, request.id)
        inputs = await read_data(self.backend, record.input_uri)
        outputs = await read_outputs(self.backend, record.closure)
        return task_execution_pb2.TaskExecutionGetDataResponse(
            inputs=inputs.blob,
            outputs=outputs.blob,
            full_inputs=inputs.literals,
            full_outputs=outputs.literals,
            flyte_urls=task_urls(record),
        )


async def find_task(backend: Backend, tx: AsyncConnection, identifier: TaskExecutionIdentifier) -> TaskExecutionRecord:
    """Return an attempt; `MissingEntityError` if there is none."""
    record = await backend.store.task_executions.get(tx, *task_key(identifier))
    if record is None:
        node = identifier.node_execution_id
        raise MissingEntityError(
            f"missing task execution: attempt {identifier.retry_attempt} of {identifier.task_id.name} "
            f"in node {node.node_id} of {node.execution_id.name}"
        )
    return record


def task_key(identifier: TaskExecutionIdentifier) -> tuple[str | int, ...]:
    """Return the key of an attempt's row, once the identifier is found to be complete."""
    check_identifier(identifier.task_id, ResourceType.TASK)
    check_node(identifier.node_execution_id)
    node, task = identifier.node_execution_id, identifier.task_id
    execution = node.execution_id
    return (
        *(execution.project, execution.domain, execution.name, node.node_id),
        *(task.project, task.domain, task.name, task.version),
        identifier.retry_attempt,
    )
