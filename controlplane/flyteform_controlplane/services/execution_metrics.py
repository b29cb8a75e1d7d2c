"""Where the time of an execution went."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteidl.admin.execution_pb2 import WorkflowExecutionGetMetricsRequest, WorkflowExecutionGetMetricsResponse
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure

from flyteform_controlplane.domain.filters import Query
from flyteform_controlplane.domain.paging import UNLIMITED
from flyteform_controlplane.domain.spans import History, execution_span
from flyteform_controlplane.domain.validation import check_execution
from flyteform_controlplane.errors import MissingEntityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

    from flyteform_controlplane.domain.records import NodeExecutionRecord
    from flyteform_controlplane.services.backend import Backend

# The spans of a nested execution are two levels below those of its parent; a request for all levels stops here.
_DEEPEST = 100
_LEVELS_PER_EXECUTION = 2


@dataclass(frozen=True, slots=True)
class ExecutionMetrics:
    """The AdminService's method about metrics."""

    backend: Backend

    async def GetExecutionMetrics(
        self, request: WorkflowExecutionGetMetricsRequest, _context: object
    ) -> WorkflowExecutionGetMetricsResponse:
        """Return the tree of spans down to `depth` levels, a negative one meaning all."""
        check_execution(request.id)
        depth = request.depth if 0 <= request.depth <= _DEEPEST else _DEEPEST
        history = await self._history(request.id, depth)
        return WorkflowExecutionGetMetricsResponse(span=execution_span(history, depth))

    async def _history(self, name: WorkflowExecutionIdentifier, depth: int) -> History:
        async with self.backend.database.reading() as tx:
            record = await self.backend.execution(tx, name)
            if not depth:
                return History(record, CompiledWorkflowClosure(), (), ())
            where = {
                "execution_project": record.execution_project,
                "execution_domain": record.execution_domain,
                "execution_name": record.execution_name,
            }
            every = Query(limit=UNLIMITED)
            nodes = await self.backend.store.node_executions.page(tx, every, where)
            attempts = await self.backend.store.task_executions.page(tx, every, where)
            row = record.workflow_id and await self.backend.store.workflows.by_id(tx, record.workflow_id)
        if not row:
            raise MissingEntityError(f"the workflow of execution {record.execution_name} is gone")
        workflow = await self.backend.read_message(row.remote_closure_identifier, CompiledWorkflowClosure)
        return History(
            record, workflow, nodes, attempts, await self._dynamic(nodes), await self._launched(nodes, depth)
        )

    async def _dynamic(self, nodes: Sequence[NodeExecutionRecord]) -> dict[int, CompiledWorkflowClosure]:
        made = [node for node in nodes if node.dynamic_workflow_remote_closure_reference]
        uris = (node.dynamic_workflow_remote_closure_reference for node in made)
        closures = await asyncio.gather(*(self.backend.read_message(uri, CompiledWorkflowClosure) for uri in uris))
        return {node.id: closure for node, closure in zip(made, closures, strict=True)}

    async def _launched(self, nodes: Sequence[NodeExecutionRecord], depth: int) -> dict[str, History]:
        if depth < _LEVELS_PER_EXECUTION:
            return {}
        found = {}
        for node in nodes:
            if node.closure.HasField("workflow_node_metadata"):
                name = node.closure.workflow_node_metadata.executionId
                # What is gone has no spans; the rest is still worth showing.
                with suppress(MissingEntityError):
                    found[node.node_id] = await self._history(name, depth - _LEVELS_PER_EXECUTION)
        return found
