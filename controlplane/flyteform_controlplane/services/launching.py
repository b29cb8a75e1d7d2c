"""The creation of executions: validate, resolve, write the inputs, then row and dispatch in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flyteidl.core.identifier_pb2 import ResourceType, WorkflowExecutionIdentifier

from flyteform_controlplane.domain import locations
from flyteform_controlplane.domain.attributes import Scope
from flyteform_controlplane.domain.concurrency import LaunchPlanName, WaitingRecord, policy_of
from flyteform_controlplane.domain.executions import new_execution, waiting
from flyteform_controlplane.domain.inputs import resolve_inputs
from flyteform_controlplane.domain.names import execution_name
from flyteform_controlplane.domain.ports import ExecutionKey
from flyteform_controlplane.domain.records import ExecutionRecord, ExecutionTagRecord
from flyteform_controlplane.domain.settings import choose_pool, merge_labels, resolve_spec
from flyteform_controlplane.domain.times import to_timestamp
from flyteform_controlplane.domain.validation import (
    check_entries,
    check_labels,
    check_parallelism,
    check_scope,
    require,
)
from flyteform_controlplane.errors import ControlPlaneError, EntityExistsError, MissingEntityError
from flyteform_controlplane.services.attributes import for_execution
from flyteform_controlplane.services.listing import identifier_of

if TYPE_CHECKING:
    from datetime import datetime

    from flyteidl.admin.execution_pb2 import ExecutionCreateRequest, ExecutionMetadata, ExecutionSpec
    from flyteidl.core.identifier_pb2 import NodeExecutionIdentifier
    from flyteidl.core.literals_pb2 import LiteralMap
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.domain.records import ProjectRecord
    from flyteform_controlplane.services.attributes import ExecutionAttributes
    from flyteform_controlplane.services.backend import Backend
    from flyteform_controlplane.services.concurrency import Concurrency
    from flyteform_controlplane.services.ending import Ending
    from flyteform_controlplane.services.targets import Target, Targets
    from flyteform_controlplane.store.kept_objects import Placed
    from flyteform_controlplane.store.ports import Circumstances


@dataclass(frozen=True, slots=True)
class _Cause:
    """Why and for whom an execution is created."""

    mode: ExecutionMetadata.ExecutionMode
    scheduled_at: datetime | None
    principal: str


@dataclass(frozen=True, slots=True)
class _Parent:
    """The node that starts a child execution."""

    execution: ExecutionRecord
    node_execution_id: int


@dataclass(frozen=True, slots=True)
class _Draft:
    """An execution that is resolved and not yet written."""

    name: WorkflowExecutionIdentifier
    record: ExecutionRecord
    target: Target
    cluster_label: str
    tags: tuple[str, ...]
    # Whether a concurrency policy decides if it may start.
    limited: bool
    # The cluster of its parent, whose data it takes and whose data it becomes.
    near: str = ""
    # Its inputs, once it is said where they lie.
    placed: tuple[Placed, ...] = ()


@dataclass(frozen=True, slots=True)
class Launching:
    """Creates executions for the AdminService, the scheduler and relaunches."""

    backend: Backend
    targets: Targets
    concurrency: Concurrency
    ending: Ending

    async def launch(
        self,
        request: ExecutionCreateRequest,
        *,
        mode: ExecutionMetadata.ExecutionMode,
        scheduled_at: datetime | None = None,
        principal: str = "",
    ) -> WorkflowExecutionIdentifier:
        """Validate, resolve, write; raise `EntityExistsError` if the name is taken.

        `principal` is who asked for it, as far as that is known.
        """
        name = WorkflowExecutionIdentifier(
            project=request.project, domain=request.domain, name=execution_name(request.name)
        )
        require(request.HasField("spec"), "spec")
        check_scope(request)
        target = self.targets.known(request.spec.launch_plan)
        if target is None:
            # What is wrong with the execution's own name is told before what is wrong with its target.
            await self._circumstances(name, None)
            target = await self.targets.find(request.spec.launch_plan)
        known = await self._circumstances(name, target)
        plan = target.launch_plan
        given = request.inputs if request.HasField("inputs") else request.spec.inputs
        inputs = resolve_inputs(given, plan.closure.expected_inputs, plan.spec.fixed_inputs)
        draft = await self._draft(name, request.spec, target, known, _Cause(mode, scheduled_at, principal))
        await self._write(draft, inputs, given)
        return name

    async def _circumstances(self, name: WorkflowExecutionIdentifier, target: Target | None) -> Circumstances:
        """Return what is known before the launch, of the target if it is known; refuse one that cannot be."""
        plan, scope = LaunchPlanName("", "", ""), Scope(name.project, name.domain)
        if target is not None:
            plan = target.launch_plan_name
            scope = Scope(name.project, name.domain, target.workflow.name, plan.name)
        async with self.backend.database.reading() as tx:
            key = ExecutionKey(name.project, name.domain, name.name)
            found = await self.backend.store.launches.circumstances(tx, key, plan, scope)
        self.backend.usable_project(found.project if found else None, name)
        if found is None or found.taken:
            raise _taken(name)
        return found

    async def _draft(
        self,
        name: WorkflowExecutionIdentifier,
        spec: ExecutionSpec,
        target: Target,
        known: Circumstances,
        cause: _Cause,
    ) -> _Draft:
        scope = Scope(name.project, name.domain, target.workflow.name, target.launch_plan.name)
        attributes = for_execution(known.matchables, scope)
        parent, source = await self._origins(spec)
        resolved = self._resolve(spec, target, known.project, attributes, name.domain)
        inherited = parent.execution.spec.execution_cluster_label.value if parent else ""
        own = spec.execution_cluster_label.value
        label = own or inherited or attributes.cluster_label or self.backend.config.default_cluster_label
        if label:
            resolved.execution_cluster_label.value = label
        _complete_metadata(resolved, name, parent, cause)
        record = new_execution(
            name, resolved, identifier_of(target.workflow, ResourceType.WORKFLOW), target.launch_plan.spec
        )
        record = replace(
            record,
            workflow_id=target.workflow.id,
            launch_plan_id=target.launch_plan.id if target.task is None else None,
            task_id=target.task.id if target.task else None,
            launch_entity=target.entity,
            parent_node_execution_id=parent.node_execution_id if parent else None,
            source_execution_id=parent.execution.id if parent else source,
        )
        limited = target.task is None and policy_of(target.launch_plan.spec, known.policy) is not None
        near = parent.execution.cluster if parent else ""
        return _Draft(name, record, target, label, tuple(dict.fromkeys(spec.tags)), limited=limited, near=near)

    def _resolve(
        self,
        spec: ExecutionSpec,
        target: Target,
        project: ProjectRecord,
        attributes: ExecutionAttributes,
        domain: str,
    ) -> ExecutionSpec:
        config = self.backend.config
        resolved = resolve_spec(spec, target.launch_plan.spec, attributes.configs, config)
        merge_labels(resolved, project.labels.values)
        check_labels(resolved.labels.values)
        check_parallelism(resolved.max_parallelism)
        check_entries(resolved.labels.values, config.max_label_entries, "labels")
        check_entries(resolved.annotations.values, config.max_annotation_entries, "annotations")
        if attributes.cluster_assignment is not None and not resolved.HasField("cluster_assignment"):
            resolved.cluster_assignment.CopyFrom(attributes.cluster_assignment)
        choose_pool(resolved, domain, config)
        return resolved

    async def _write(self, draft: _Draft, inputs: LiteralMap, given: LiteralMap) -> None:
        prefix, name = self.backend.metadata_prefix, draft.name
        placed = [await self.backend.place(locations.execution_inputs(prefix, name), inputs)]
        # Where nothing was added to what the user gave, one object is both.
        if given != inputs:
            placed.append(await self.backend.place(locations.user_inputs(prefix, name), given))
        record = replace(draft.record, inputs_uri=placed[0].uri, user_inputs_uri=placed[-1].uri)
        try:
            starts = await self._insert(replace(draft, record=record, placed=tuple(placed)))
        except ControlPlaneError:
            # Refused, so no row refers to them. After anything else (a call cancelled while the database commits)
            # a row may, and what is left behind without one harms nobody.
            for one in placed:
                await self.backend.objects.discard(one)
            raise
        if starts:
            self.backend.dispatch.wake()
        else:
            await self.ending.settle(draft.target.launch_plan_name)

    async def _insert(self, draft: _Draft) -> bool:
        """Write everything or nothing; False if the execution waits for its turn."""
        if not draft.limited:
            try:
                async with self.backend.database.together() as tx:
                    await self._start(tx, draft)
            except EntityExistsError as error:
                raise _taken(draft.name) from error
            return True
        async with self.backend.database.transaction() as tx:
            if await self.concurrency.admit(tx, draft.target.launch_plan):
                await self._start(tx, draft)
                return True
            await self._add(tx, draft, waiting(draft.record))
            await self.backend.dispatch.check_label(tx, draft.cluster_label)
            await self.backend.store.waiting.add(tx, _waiting(draft))
        return False

    async def _start(self, tx: AsyncConnection, draft: _Draft) -> None:
        await self._add(tx, draft, draft.record)
        key = ExecutionKey(draft.name.project, draft.name.domain, draft.name.name)
        await self.backend.dispatch.enqueue(tx, key, cluster_label=draft.cluster_label, near=draft.near)

    async def _add(self, tx: AsyncConnection, draft: _Draft, record: ExecutionRecord) -> None:
        name, store = draft.name, self.backend.store
        await store.executions.append(tx, record)
        for one in draft.placed:
            await self.backend.objects.keep(tx, one)
        for tag in draft.tags:
            row = ExecutionTagRecord(
                execution_project=name.project, execution_domain=name.domain, execution_name=name.name, key=tag
            )
            await store.execution_tags.append(tx, row)

    async def _origins(self, spec: ExecutionSpec) -> tuple[_Parent | None, int | None]:
        """Return the node that starts it, and the execution that it relaunches or recovers."""
        metadata = spec.metadata
        has_parent, has_source = metadata.HasField("parent_node_execution"), metadata.HasField("reference_execution")
        if not has_parent and not has_source:
            return None, None
        async with self.backend.database.reading() as tx:
            parent = await self._parent(tx, metadata.parent_node_execution) if has_parent else None
            source = (await self.backend.execution(tx, metadata.reference_execution)).id if has_source else None
        return parent, source

    async def _parent(self, tx: AsyncConnection, node: NodeExecutionIdentifier) -> _Parent:
        name = node.execution_id
        key = (name.project, name.domain, name.name)
        execution = await self.backend.execution(tx, name)
        record = await self.backend.store.node_executions.get(tx, *key, node.node_id)
        if record is None:
            raise MissingEntityError(f"missing parent node execution {node.node_id} of {name.name}")
        return _Parent(execution, record.id)


def _complete_metadata(
    spec: ExecutionSpec,
    name: WorkflowExecutionIdentifier,
    parent: _Parent | None,
    cause: _Cause,
) -> None:
    """Write what the server knows better than the caller: nobody chooses a principal or a nesting."""
    metadata = spec.metadata
    metadata.mode = cause.mode
    inherited = parent.execution.spec.metadata if parent else None
    metadata.principal = inherited.principal if inherited else cause.principal
    metadata.nesting = inherited.nesting + 1 if inherited else 0
    metadata.ClearField("system_metadata")
    metadata.system_metadata.namespace = f"{name.project}-{name.domain}"
    if cause.scheduled_at is not None:
        metadata.scheduled_at.CopyFrom(to_timestamp(cause.scheduled_at))


def _waiting(draft: _Draft) -> WaitingRecord:
    name, plan = draft.name, draft.target.launch_plan
    return WaitingRecord(
        execution_project=name.project,
        execution_domain=name.domain,
        execution_name=name.name,
        project=plan.project,
        domain=plan.domain,
        name=plan.name,
        cluster_label=draft.cluster_label,
    )


def _taken(name: WorkflowExecutionIdentifier) -> EntityExistsError:
    return EntityExistsError(f"execution {name.project}:{name.domain}:{name.name} already exists")
