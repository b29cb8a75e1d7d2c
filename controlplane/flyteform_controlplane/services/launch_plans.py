"""Launch plans and their activation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flyteidl.admin import launch_plan_pb2
from flyteidl.admin.launch_plan_pb2 import LaunchPlanClosure, LaunchPlanSpec
from flyteidl.core.identifier_pb2 import Identifier, ResourceType

from flyteform.compiler import digest
from flyteform_controlplane.domain.filters import Entity, Query
from flyteform_controlplane.domain.launch_plans import check_launch_plan, complete, schedule_type
from flyteform_controlplane.domain.paging import next_token, parse_query
from flyteform_controlplane.domain.ports import EntityKey
from flyteform_controlplane.domain.records import LaunchPlanRecord
from flyteform_controlplane.domain.times import now, to_timestamp
from flyteform_controlplane.domain.validation import check_identifier, check_scope, require
from flyteform_controlplane.errors import InvalidArgumentError, MissingEntityError
from flyteform_controlplane.services.backend import missing
from flyteform_controlplane.services.listing import identifier_of, key_of, list_identifiers, scope_of
from flyteform_controlplane.services.registration import add_version, exists_different, exists_identical
from flyteform_controlplane.services.splicing import LAUNCH_PLAN_COLUMNS, launch_plan_list

if TYPE_CHECKING:
    from flyteidl.admin.common_pb2 import (
        NamedEntityIdentifierList,
        NamedEntityIdentifierListRequest,
        ObjectGetRequest,
        ResourceListRequest,
    )
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.services.backend import Backend

_ACTIVE, _INACTIVE = launch_plan_pb2.ACTIVE, launch_plan_pb2.INACTIVE


@dataclass(frozen=True, slots=True)
class LaunchPlans:
    """The AdminService's methods about launch plans."""

    backend: Backend

    async def CreateLaunchPlan(
        self, request: launch_plan_pb2.LaunchPlanCreateRequest, _context: object
    ) -> launch_plan_pb2.LaunchPlanCreateResponse:
        """Register a version of a launch plan; it starts inactive."""
        require(request.HasField("id"), "id")
        require(request.HasField("spec"), "spec")
        check_identifier(request.id, ResourceType.LAUNCH_PLAN)
        check_launch_plan(request.spec, self.backend.config)
        async with self.backend.database.reading() as tx:
            await self.backend.check_project(tx, request.id)
        await self.register(request.id, request.spec)
        return launch_plan_pb2.LaunchPlanCreateResponse()

    async def register(self, identifier: Identifier, spec: LaunchPlanSpec) -> None:
        """Complete and keep a version; the error if it exists says whether it is the same."""
        workflow = await self.backend.versions.workflows.get(*key_of(spec.workflow_id))
        if workflow is None:
            raise missing("WORKFLOW", spec.workflow_id)
        completed, closure = complete(spec, workflow.typed_interface)
        record = _record(identifier, completed, closure, workflow.id)
        while not await add_version(self.backend, self.backend.store.launch_plans, record, ResourceType.LAUNCH_PLAN):
            _refuse_existing(await self.backend.versions.launch_plans.get(*key_of(identifier)), record)

    async def GetLaunchPlan(self, request: ObjectGetRequest, _context: object) -> launch_plan_pb2.LaunchPlan:
        """Return one version."""
        check_identifier(request.id, ResourceType.LAUNCH_PLAN)
        async with self.backend.database.reading() as tx:
            return message(await self._get(tx, request.id))

    async def ListLaunchPlans(self, request: ResourceListRequest, _context: object) -> launch_plan_pb2.LaunchPlanList:
        """Return a page of versions in a project and domain, of one name if it is given."""
        check_scope(request.id)
        query = parse_query(request, Entity.LAUNCH_PLAN)
        async with self.backend.database.reading() as tx:
            rows = await self.backend.store.launch_plans.stored(tx, LAUNCH_PLAN_COLUMNS, query, scope_of(request.id))
        return launch_plan_list(rows, next_token(query, rows))

    async def ListLaunchPlanIds(
        self, request: NamedEntityIdentifierListRequest, _context: object
    ) -> NamedEntityIdentifierList:
        """Return a page of names."""
        return await list_identifiers(self.backend, request, ResourceType.LAUNCH_PLAN, Entity.LAUNCH_PLAN)

    async def GetActiveLaunchPlan(
        self, request: launch_plan_pb2.ActiveLaunchPlanRequest, _context: object
    ) -> launch_plan_pb2.LaunchPlan:
        """Return the active version of a name."""
        check_scope(request.id)
        require(request.id.name, "name")
        async with self.backend.database.reading() as tx:
            rows = await self.backend.store.launch_plans.page(
                tx, Query(limit=1), scope_of(request.id) | {"state": _ACTIVE}
            )
        if not rows:
            raise MissingEntityError(
                f"no active launch plan could be found for {request.id.project}:{request.id.domain}:{request.id.name}"
            )
        return message(rows[0])

    async def ListActiveLaunchPlans(
        self, request: launch_plan_pb2.ActiveLaunchPlanListRequest, _context: object
    ) -> launch_plan_pb2.LaunchPlanList:
        """Return a page of the active versions in a project and domain."""
        check_scope(request)
        query = parse_query(request, Entity.LAUNCH_PLAN)
        scope: dict[str, str | int | None] = {"project": request.project, "domain": request.domain, "state": _ACTIVE}
        async with self.backend.database.reading() as tx:
            rows = await self.backend.store.launch_plans.stored(tx, LAUNCH_PLAN_COLUMNS, query, scope)
        return launch_plan_list(rows, next_token(query, rows))

    async def UpdateLaunchPlan(
        self, request: launch_plan_pb2.LaunchPlanUpdateRequest, _context: object
    ) -> launch_plan_pb2.LaunchPlanUpdateResponse:
        """Activate or deactivate a version; activation replaces the active version and its schedule at once."""
        check_identifier(request.id, ResourceType.LAUNCH_PLAN)
        if request.state not in (_ACTIVE, _INACTIVE):
            raise InvalidArgumentError(f"unrecognized launch plan state {request.state}")
        async with self.backend.database.transaction() as tx:
            # One switch of a name at a time: two versions that are activated at once are not both active after.
            name = (request.id.project, request.id.domain, request.id.name)
            await self.backend.store.named_entities.lock(tx, ResourceType.LAUNCH_PLAN, *name)
            record = await self._get(tx, request.id)
            if record.state != request.state:
                await self._switch(tx, record)
        self.backend.schedules.wake()
        return launch_plan_pb2.LaunchPlanUpdateResponse()

    async def _switch(self, tx: AsyncConnection, record: LaunchPlanRecord) -> None:
        at = now()
        if record.state == _ACTIVE:
            await self._deactivate(tx, record)
            return
        scope: dict[str, str | int | None] = {"project": record.project, "domain": record.domain, "name": record.name}
        for former in await self.backend.store.launch_plans.page(tx, Query(), scope | {"state": _ACTIVE}):
            await self._deactivate(tx, former)
        await self.backend.store.launch_plans.save_many(tx, [replace(record, state=_ACTIVE, updated_at=at)])
        if record.schedule_type != "NONE":
            await self.backend.schedules.activate(tx, _key(record), record.spec.entity_metadata.schedule, at)

    async def _deactivate(self, tx: AsyncConnection, record: LaunchPlanRecord) -> None:
        await self.backend.store.launch_plans.save_many(tx, [replace(record, state=_INACTIVE, updated_at=now())])
        await self.backend.schedules.deactivate(tx, _key(record))

    async def _get(self, tx: AsyncConnection, identifier: Identifier) -> LaunchPlanRecord:
        record = await self.backend.store.launch_plans.get(tx, *key_of(identifier))
        if record is None:
            raise missing("LAUNCH_PLAN", identifier)
        return record


def message(record: LaunchPlanRecord) -> launch_plan_pb2.LaunchPlan:
    """Return the launch plan; its state and times are those of the row."""
    closure = LaunchPlanClosure()
    closure.CopyFrom(record.closure)
    closure.state = record.state
    closure.created_at.CopyFrom(to_timestamp(record.created_at))
    closure.updated_at.CopyFrom(to_timestamp(record.updated_at))
    identifier = identifier_of(record, ResourceType.LAUNCH_PLAN)
    return launch_plan_pb2.LaunchPlan(id=identifier, spec=record.spec, closure=closure)


def _refuse_existing(existing: LaunchPlanRecord | None, record: LaunchPlanRecord) -> None:
    if existing is None:
        return
    if existing.digest == record.digest:
        raise exists_identical("launch plan")
    raise exists_different("launch plan", record.name, existing.spec, record.spec)


def _key(record: LaunchPlanRecord) -> EntityKey:
    return EntityKey(record.project, record.domain, record.name, record.version)


def _record(
    identifier: Identifier, spec: LaunchPlanSpec, closure: LaunchPlanClosure, workflow_id: int
) -> LaunchPlanRecord:
    return LaunchPlanRecord(
        project=identifier.project,
        domain=identifier.domain,
        name=identifier.name,
        version=identifier.version,
        digest=digest(spec) + digest(closure),
        spec=spec,
        closure=closure,
        workflow_id=workflow_id,
        schedule_type=schedule_type(spec),
    )
