"""Workflows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NoReturn

from flyteidl.admin.workflow_pb2 import (
    CreateWorkflowFailureReason,
    Workflow,
    WorkflowClosure,
    WorkflowCreateRequest,
    WorkflowCreateResponse,
)
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.identifier_pb2 import Identifier, ResourceType

from flyteform.compiler import CompileErrors, IdKey, LaunchPlanInterface, compile_workflow, digest, requirements
from flyteform_controlplane.domain.filters import Entity
from flyteform_controlplane.domain.locations import workflow_closure
from flyteform_controlplane.domain.paging import next_token, parse_query
from flyteform_controlplane.domain.records import WorkflowRecord
from flyteform_controlplane.domain.times import to_timestamp
from flyteform_controlplane.domain.validation import check_identifier, check_scope, require
from flyteform_controlplane.errors import InvalidArgumentError
from flyteform_controlplane.services.backend import missing
from flyteform_controlplane.services.listing import identifier_of, key_of, list_identifiers, scope_of
from flyteform_controlplane.services.registration import add_version, exists_different, exists_identical
from flyteform_controlplane.services.splicing import WORKFLOW_COLUMNS, workflow_list

if TYPE_CHECKING:
    from flyteidl.admin.common_pb2 import (
        NamedEntityIdentifierList,
        NamedEntityIdentifierListRequest,
        ObjectGetRequest,
        ResourceListRequest,
    )
    from flyteidl.admin.description_entity_pb2 import DescriptionEntity
    from flyteidl.admin.workflow_pb2 import WorkflowList, WorkflowSpec

    from flyteform_controlplane.domain.records import LaunchPlanRecord
    from flyteform_controlplane.services.backend import Backend


@dataclass(frozen=True, slots=True)
class Workflows:
    """The AdminService's methods about workflows."""

    backend: Backend

    async def CreateWorkflow(self, request: WorkflowCreateRequest, _context: object) -> WorkflowCreateResponse:
        """Compile and register a version of a workflow."""
        identifier = _checked(request)
        async with self.backend.database.reading() as tx:
            await self.backend.check_project(tx, identifier)
        await self.register(identifier, request.spec)
        return WorkflowCreateResponse()

    async def register(self, identifier: Identifier, spec: WorkflowSpec) -> None:
        """Compile and keep a version; the error if it exists says whether it is the same."""
        closure = await self._compile(identifier, spec)
        uri = workflow_closure(self.backend.metadata_prefix, identifier)
        record = WorkflowRecord(
            project=identifier.project,
            domain=identifier.domain,
            name=identifier.name,
            version=identifier.version,
            digest=digest(closure),
            typed_interface=closure.primary.template.interface,
            remote_closure_identifier=uri,
            short_description=spec.description.short_description,
        )
        # A version that is there already is found by the attempt to add it, so a new one costs no question before.
        while not await self._add(record, closure, spec.description):
            existing = await self.backend.versions.workflows.get(*key_of(identifier))
            if existing is not None:
                await self._refuse(identifier, existing, record, closure)

    async def GetWorkflow(self, request: ObjectGetRequest, _context: object) -> Workflow:
        """Return one version with its compiled closure."""
        check_identifier(request.id, ResourceType.WORKFLOW)
        record = await self.backend.versions.workflows.get(*key_of(request.id))
        if record is None:
            raise missing("WORKFLOW", request.id)
        message = _message(record)
        message.closure.compiled_workflow.CopyFrom(await self.closure(record))
        return message

    async def ListWorkflows(self, request: ResourceListRequest, _context: object) -> WorkflowList:
        """Return a page of versions without their compiled closures."""
        check_scope(request.id)
        query = parse_query(request, Entity.WORKFLOW)
        async with self.backend.database.reading() as tx:
            rows = await self.backend.store.workflows.stored(tx, WORKFLOW_COLUMNS, query, scope_of(request.id))
        return workflow_list(rows, next_token(query, rows))

    async def ListWorkflowIds(
        self, request: NamedEntityIdentifierListRequest, _context: object
    ) -> NamedEntityIdentifierList:
        """Return a page of names."""
        return await list_identifiers(self.backend, request, ResourceType.WORKFLOW, Entity.WORKFLOW)

    async def closure(self, record: WorkflowRecord) -> CompiledWorkflowClosure:
        """Read the compiled closure of a version."""
        return await self.backend.read_message(record.remote_closure_identifier, CompiledWorkflowClosure)

    async def _compile(self, identifier: Identifier, spec: WorkflowSpec) -> CompiledWorkflowClosure:
        needed = requirements(spec)
        tasks = await self.backend.versions.tasks.get_many(map(_row_key, needed.tasks))
        plans = await self.backend.versions.launch_plans.get_many(map(_row_key, needed.launch_plans))
        try:
            closure = compile_workflow(
                spec,
                identifier,
                tasks={
                    key: tasks[_row_key(key)].closure.compiled_task for key in needed.tasks if _row_key(key) in tasks
                },
                launch_plans={
                    key: _interface(plans[_row_key(key)]) for key in needed.launch_plans if _row_key(key) in plans
                },
            )
        except CompileErrors as error:
            raise InvalidArgumentError(
                f"failed to compile workflow for [{identifier.name}] with err {error.message}", remedy=error.remedy
            ) from error
        self._check_size(closure)
        return closure

    async def _add(
        self, record: WorkflowRecord, closure: CompiledWorkflowClosure, description: DescriptionEntity
    ) -> bool:
        """Keep the row and the closure that it refers to; False if the version exists."""
        placed = await self.backend.place(record.remote_closure_identifier, closure)
        record = replace(record, remote_closure_identifier=placed.uri)
        rows = self.backend.store.workflows
        if await add_version(self.backend, rows, record, ResourceType.WORKFLOW, description, placed):
            return True
        await self.backend.objects.discard(placed)
        return False

    def _check_size(self, closure: CompiledWorkflowClosure) -> None:
        nodes, most = len(closure.primary.template.nodes), self.backend.config.max_workflow_nodes
        if most and nodes > most:
            raise InvalidArgumentError(f"the workflow has {nodes} nodes, and at most {most} are allowed")
        size, largest = closure.ByteSize(), self.backend.config.max_closure_bytes
        if largest and size > largest:
            raise InvalidArgumentError(f"the workflow's closure has {size} bytes, and at most {largest} are allowed")

    async def _refuse(
        self,
        identifier: Identifier,
        existing: WorkflowRecord,
        record: WorkflowRecord,
        closure: CompiledWorkflowClosure,
    ) -> NoReturn:
        reason = CreateWorkflowFailureReason()
        if existing.digest == record.digest:
            reason.exists_identical_structure.id.CopyFrom(identifier)
            raise exists_identical("workflow", reason)
        reason.exists_different_structure.id.CopyFrom(identifier)
        raise exists_different("workflow", record.name, await self.closure(existing), closure, reason)


def _checked(request: WorkflowCreateRequest) -> Identifier:
    require(request.HasField("id"), "id")
    require(request.spec.HasField("template"), "spec")
    require(request.spec.template.HasField("interface"), "typed interface")
    identifier = Identifier()
    identifier.CopyFrom(request.id)
    check_identifier(identifier, ResourceType.WORKFLOW)
    identifier.resource_type = ResourceType.WORKFLOW
    return identifier


def _row_key(key: IdKey) -> tuple[str, str, str, str]:
    return key.project, key.domain, key.name, key.version


def _interface(record: LaunchPlanRecord) -> LaunchPlanInterface:
    return LaunchPlanInterface(
        id=identifier_of(record, ResourceType.LAUNCH_PLAN),
        expected_inputs=record.closure.expected_inputs,
        fixed_inputs=record.spec.fixed_inputs,
        outputs=record.closure.expected_outputs,
    )


def _message(record: WorkflowRecord) -> Workflow:
    return Workflow(
        id=identifier_of(record, ResourceType.WORKFLOW),
        closure=WorkflowClosure(created_at=to_timestamp(record.created_at)),
        short_description=record.short_description,
    )
