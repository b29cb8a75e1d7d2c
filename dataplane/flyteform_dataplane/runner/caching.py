"""The cache of task results, asked and fed for the engine. A cache that fails never fails a node."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from flyteidl.core.catalog_pb2 import CatalogArtifactTag, CatalogMetadata
from flyteidl.core.identifier_pb2 import (
    Identifier,
    NodeExecutionIdentifier,
    ResourceType,
    TaskExecutionIdentifier,
    WorkflowExecutionIdentifier,
)

from flyteform.errors import FlyteformError
from flyteform_dataplane.engine.observations import CacheAnswered, CacheStored
from flyteform_dataplane.engine.phases import CacheStatus
from flyteform_dataplane.errors import UserError
from flyteform_dataplane.ports import CacheKey, CacheSource
from flyteform_dataplane.records import record
from flyteform_dataplane.runner.literals import item_inputs
from flyteform_dataplane.runner.reservations import Reservations

if TYPE_CHECKING:
    from datetime import timedelta

    from flyteidl.core.tasks_pb2 import TaskTemplate

    from flyteform_dataplane.engine.commands import LookUpCache, StoreInCache
    from flyteform_dataplane.engine.state import State
    from flyteform_dataplane.ports import CachedOutputs, Catalog, Clock
    from flyteform_dataplane.runner.context import ExecutionContext
    from flyteform_dataplane.runner.data import ExecutionData

logger = logging.getLogger(__name__)


@record
class _Keys:
    """By what the results of an execution's items are known to the cache."""

    context: ExecutionContext
    data: ExecutionData

    async def of(self, node: str, index: int) -> CacheKey:
        """Return the key of an item; `UserError` where a node has none."""
        record = self.context.graph.nodes[node]
        if record.task is None:
            raise UserError(f"node {node} has no task whose results could be cached")
        inputs = await self.data.inputs(node)
        if self.context.is_array(node):
            inputs = item_inputs(inputs, record.bound_inputs, index)
        return CacheKey(record.task, inputs, tuple(record.task.metadata.cache_ignore_input_vars))


class Caching:
    """Asks and feeds the cache for one execution."""

    def __init__(
        self,
        context: ExecutionContext,
        state: State,
        *,
        data: ExecutionData,
        catalog: Catalog,
        clock: Clock,
        heartbeat: timedelta,
    ) -> None:
        self._context = context
        self._keys = _Keys(context, data)
        self._data = data
        self._catalog = catalog
        self._clock = clock
        self.reservations = Reservations(context, state, catalog, clock, heartbeat, self._keys.of)

    async def look_up(self, command: LookUpCache) -> CacheAnswered | None:
        """Ask for an item's outputs; on a hit they are written as those of its attempt 0.

        None says that another computes them now, and that the cache has to be asked again.
        """
        node, index = command.node, command.index
        key = await self._keys.of(node, index)
        answer = await self._ask(command, key)
        if answer.status is CacheStatus.HIT or not self.reservations.wanted(node):
            return answer
        if not await self.reservations.take(node, index, key):
            return None
        if answer.status is CacheStatus.MISS:  # whoever had the right may have used it since
            answer = await self._ask(command, key)
        if answer.status is CacheStatus.HIT:
            await self.reservations.release(node, index)
        return answer

    async def _ask(self, command: LookUpCache, key: CacheKey) -> CacheAnswered:
        node, index = command.node, command.index
        if self._context.graph.overwrite_cache:
            return CacheAnswered(node, index, CacheStatus.SKIPPED, self._now())
        try:
            hit = await self._catalog.get(key)
        except FlyteformError as error:
            logger.warning("the cache could not be asked for node %s: %s", node, error)
            return CacheAnswered(node, index, CacheStatus.LOOKUP_FAILURE, self._now())
        if hit is None:
            return CacheAnswered(node, index, CacheStatus.MISS, self._now())
        await self._data.write_outputs(f"{self._context.output_prefix(node, index, 0)}/outputs.pb", hit.outputs)
        return CacheAnswered(node, index, CacheStatus.HIT, self._now(), _catalog_key(key.task, hit))

    async def store(self, command: StoreInCache) -> CacheStored:
        """Put an attempt's outputs into the cache; who waits for them may look then."""
        stored = await self._store(command)
        await self.reservations.release(command.node, command.index)
        return stored

    async def _store(self, command: StoreInCache) -> CacheStored:
        node, index, attempt = command.node, command.index, command.attempt
        source = CacheSource(self._context.id, node, attempt)
        try:
            key = await self._keys.of(node, index)
            prefix = self._context.output_prefix(node, index, attempt)
            outputs = await self._data.given(node, f"{prefix}/outputs.pb")
            overwrite = self._context.graph.overwrite_cache
            kept = await self._catalog.put(key, outputs, source, overwrite=overwrite)
        except FlyteformError as error:
            logger.warning("the outputs of node %s could not be put into the cache: %s", node, error)
            return CacheStored(node, index, CacheStatus.PUT_FAILURE, self._now())
        return CacheStored(node, index, CacheStatus.POPULATED, self._now(), _catalog_key(key.task, kept))

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _catalog_key(task: TaskTemplate, cached: CachedOutputs) -> bytes:
    """Describe where the outputs lie and who made them, as events do."""
    dataset = Identifier(
        resource_type=ResourceType.DATASET,
        project=task.id.project,
        domain=task.id.domain,
        name=cached.dataset_name,
        version=cached.dataset_version,
    )
    metadata = CatalogMetadata(
        dataset_id=dataset, artifact_tag=CatalogArtifactTag(artifact_id=cached.artifact_id, name=cached.tag)
    )
    if cached.source_execution:
        execution = WorkflowExecutionIdentifier(
            project=cached.source_project, domain=cached.source_domain, name=cached.source_execution
        )
        node = NodeExecutionIdentifier(node_id=cached.source_node, execution_id=execution)
        metadata.source_task_execution.CopyFrom(
            TaskExecutionIdentifier(task_id=task.id, node_execution_id=node, retry_attempt=cached.source_attempt)
        )
    return metadata.SerializeToString()
