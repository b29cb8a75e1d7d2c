"""Tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteidl.admin.task_pb2 import Task, TaskClosure, TaskCreateRequest, TaskCreateResponse
from flyteidl.core.identifier_pb2 import Identifier, ResourceType

from flyteform.compiler import CompileErrors, compile_task, digest
from flyteform_controlplane.domain.attributes import Scope
from flyteform_controlplane.domain.filters import Entity
from flyteform_controlplane.domain.paging import next_token, parse_query
from flyteform_controlplane.domain.records import TaskRecord
from flyteform_controlplane.domain.tasks import asks_for_resources, check_task, check_task_type
from flyteform_controlplane.domain.times import now, to_timestamp
from flyteform_controlplane.domain.validation import check_identifier, check_scope, require
from flyteform_controlplane.errors import InvalidArgumentError
from flyteform_controlplane.services.backend import missing
from flyteform_controlplane.services.listing import identifier_of, key_of, list_identifiers, scope_of
from flyteform_controlplane.services.registration import add_version, exists_different, exists_identical
from flyteform_controlplane.services.splicing import TASK_COLUMNS, task_list

if TYPE_CHECKING:
    from flyteidl.admin.common_pb2 import (
        NamedEntityIdentifierList,
        NamedEntityIdentifierListRequest,
        ObjectGetRequest,
        ResourceListRequest,
    )
    from flyteidl.admin.task_pb2 import TaskList
    from flyteidl.core.compiler_pb2 import CompiledTask

    from flyteform_controlplane.services.attributes import Attributes
    from flyteform_controlplane.services.backend import Backend


@dataclass(frozen=True, slots=True)
class Tasks:
    """The AdminService's methods about tasks."""

    backend: Backend
    attributes: Attributes

    async def CreateTask(self, request: TaskCreateRequest, _context: object) -> TaskCreateResponse:
        """Register a version of a task."""
        identifier = _checked(request)
        template, limits = request.spec.template, self.backend.config.task_limits
        async with self.backend.database.reading() as tx:
            await self.backend.check_project(tx, identifier)
            if asks_for_resources(template):
                limits = await self.attributes.task_limits(tx, Scope(identifier.project, identifier.domain))
        check_task(template, limits)
        check_task_type(template.type, identifier, self.backend.config.task_type_whitelist)
        compiled = _compile(request, identifier)
        created_at = now()
        record = TaskRecord(
            project=identifier.project,
            domain=identifier.domain,
            name=identifier.name,
            version=identifier.version,
            digest=digest(compiled),
            closure=TaskClosure(compiled_task=compiled, created_at=to_timestamp(created_at)),
            type=compiled.template.type,
            short_description=request.spec.description.short_description,
            created_at=created_at,
        )
        rows, description = self.backend.store.tasks, request.spec.description
        while not await add_version(self.backend, rows, record, ResourceType.TASK, description):
            _refuse_existing(await self.backend.versions.tasks.get(*key_of(identifier)), record)
        return TaskCreateResponse()

    async def GetTask(self, request: ObjectGetRequest, _context: object) -> Task:
        """Return one version."""
        check_identifier(request.id, ResourceType.TASK)
        record = await self.backend.versions.tasks.get(*key_of(request.id))
        if record is None:
            raise missing("TASK", request.id)
        return _message(record)

    async def ListTasks(self, request: ResourceListRequest, _context: object) -> TaskList:
        """Return a page of versions in a project and domain, of one name if it is given."""
        check_scope(request.id)
        query = parse_query(request, Entity.TASK)
        async with self.backend.database.reading() as tx:
            rows = await self.backend.store.tasks.stored(tx, TASK_COLUMNS, query, scope_of(request.id))
        return task_list(rows, next_token(query, rows))

    async def ListTaskIds(
        self, request: NamedEntityIdentifierListRequest, _context: object
    ) -> NamedEntityIdentifierList:
        """Return a page of names."""
        return await list_identifiers(self.backend, request, ResourceType.TASK, Entity.TASK)


def _checked(request: TaskCreateRequest) -> Identifier:
    require(request.HasField("id"), "id")
    require(request.spec.HasField("template"), "task template")
    identifier = Identifier()
    identifier.CopyFrom(request.id)
    check_identifier(identifier, ResourceType.TASK)
    identifier.resource_type = ResourceType.TASK
    return identifier


def _compile(request: TaskCreateRequest, identifier: Identifier) -> CompiledTask:
    try:
        return compile_task(request.spec, identifier)
    except CompileErrors as error:
        raise InvalidArgumentError(
            f"failed to compile task for [{identifier.name}] with err {error.message}"
        ) from error


def _message(record: TaskRecord) -> Task:
    identifier = identifier_of(record, ResourceType.TASK)
    return Task(id=identifier, closure=record.closure, short_description=record.short_description)


def _refuse_existing(existing: TaskRecord | None, record: TaskRecord) -> None:
    if existing is None:
        return
    if existing.digest == record.digest:
        raise exists_identical("task")
    old, new = existing.closure.compiled_task, record.closure.compiled_task
    raise exists_different("task", record.name, old, new)
