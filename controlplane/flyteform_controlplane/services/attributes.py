"""Matchable attributes of projects, domains and workflows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flyteidl.admin import matchable_resource_pb2, project_attributes_pb2
from flyteidl.admin import project_domain_attributes_pb2 as project_domain_pb2
from flyteidl.admin import workflow_attributes_pb2 as workflow_pb2
from flyteidl.admin.matchable_resource_pb2 import MatchableResource, MatchingAttributes, WorkflowExecutionConfig

from flyteform_controlplane.domain.attributes import Scope, check_attributes, merge, resource_of
from flyteform_controlplane.domain.enums import name_of
from flyteform_controlplane.domain.filters import Query
from flyteform_controlplane.domain.paging import UNLIMITED
from flyteform_controlplane.domain.records import MatchableRecord
from flyteform_controlplane.domain.settings import complete_config
from flyteform_controlplane.domain.tasks import complete_resources
from flyteform_controlplane.domain.times import now
from flyteform_controlplane.domain.validation import require
from flyteform_controlplane.errors import InvalidArgumentError, MissingEntityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteidl.admin.cluster_assignment_pb2 import ClusterAssignment
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.domain.config import TaskResources
    from flyteform_controlplane.services.backend import Backend


_CONFIG = MatchableResource.WORKFLOW_EXECUTION_CONFIG


@dataclass(frozen=True, slots=True)
class ExecutionAttributes:
    """What attributes say about an execution: settings by falling precedence, a label or "", an assignment or None."""

    configs: tuple[WorkflowExecutionConfig, ...]
    cluster_label: str
    cluster_assignment: ClusterAssignment | None


@dataclass(frozen=True, slots=True)
class Attributes:
    """The AdminService's methods about matchable attributes."""

    backend: Backend

    async def UpdateProjectAttributes(
        self, request: project_attributes_pb2.ProjectAttributesUpdateRequest, _context: object
    ) -> project_attributes_pb2.ProjectAttributesUpdateResponse:
        """Set attributes of a project."""
        await self._update(Scope(request.attributes.project), request.attributes.matching_attributes)
        return project_attributes_pb2.ProjectAttributesUpdateResponse()

    async def GetProjectAttributes(
        self, request: project_attributes_pb2.ProjectAttributesGetRequest, _context: object
    ) -> project_attributes_pb2.ProjectAttributesGetResponse:
        """Return attributes of a project; execution settings fall back to the application's."""
        found = await self._find(Scope(request.project), request.resource_type)
        if request.resource_type == _CONFIG:
            own = found.workflow_execution_config if found is not None else WorkflowExecutionConfig()
            found = MatchingAttributes(workflow_execution_config=complete_config(own, self.backend.config))
        attributes = project_attributes_pb2.ProjectAttributes(
            project=request.project, matching_attributes=_found(found)
        )
        return project_attributes_pb2.ProjectAttributesGetResponse(attributes=attributes)

    async def DeleteProjectAttributes(
        self, request: project_attributes_pb2.ProjectAttributesDeleteRequest, _context: object
    ) -> project_attributes_pb2.ProjectAttributesDeleteResponse:
        """Remove attributes of a project."""
        await self._delete(Scope(request.project), request.resource_type)
        return project_attributes_pb2.ProjectAttributesDeleteResponse()

    async def UpdateProjectDomainAttributes(
        self, request: project_domain_pb2.ProjectDomainAttributesUpdateRequest, _context: object
    ) -> project_domain_pb2.ProjectDomainAttributesUpdateResponse:
        """Set attributes of a domain of a project."""
        attributes = request.attributes
        require(attributes.domain, "domain")
        await self._update(Scope(attributes.project, attributes.domain), attributes.matching_attributes)
        return project_domain_pb2.ProjectDomainAttributesUpdateResponse()

    async def GetProjectDomainAttributes(
        self, request: project_domain_pb2.ProjectDomainAttributesGetRequest, _context: object
    ) -> project_domain_pb2.ProjectDomainAttributesGetResponse:
        """Return the most specific attributes for a domain of a project."""
        require(request.domain, "domain")
        found = await self._find(Scope(request.project, request.domain), request.resource_type)
        attributes = project_domain_pb2.ProjectDomainAttributes(
            project=request.project, domain=request.domain, matching_attributes=_found(found)
        )
        return project_domain_pb2.ProjectDomainAttributesGetResponse(attributes=attributes)

    async def DeleteProjectDomainAttributes(
        self, request: project_domain_pb2.ProjectDomainAttributesDeleteRequest, _context: object
    ) -> project_domain_pb2.ProjectDomainAttributesDeleteResponse:
        """Remove attributes of a domain of a project."""
        require(request.domain, "domain")
        await self._delete(Scope(request.project, request.domain), request.resource_type)
        return project_domain_pb2.ProjectDomainAttributesDeleteResponse()

    async def UpdateWorkflowAttributes(
        self, request: workflow_pb2.WorkflowAttributesUpdateRequest, _context: object
    ) -> workflow_pb2.WorkflowAttributesUpdateResponse:
        """Set attributes of a workflow."""
        attributes = request.attributes
        scope = _workflow_scope(attributes.project, attributes.domain, attributes.workflow)
        await self._update(scope, attributes.matching_attributes)
        return workflow_pb2.WorkflowAttributesUpdateResponse()

    async def GetWorkflowAttributes(
        self, request: workflow_pb2.WorkflowAttributesGetRequest, _context: object
    ) -> workflow_pb2.WorkflowAttributesGetResponse:
        """Return the most specific attributes for a workflow."""
        scope = _workflow_scope(request.project, request.domain, request.workflow)
        attributes = workflow_pb2.WorkflowAttributes(
            project=request.project,
            domain=request.domain,
            workflow=request.workflow,
            matching_attributes=_found(await self._find(scope, request.resource_type)),
        )
        return workflow_pb2.WorkflowAttributesGetResponse(attributes=attributes)

    async def DeleteWorkflowAttributes(
        self, request: workflow_pb2.WorkflowAttributesDeleteRequest, _context: object
    ) -> workflow_pb2.WorkflowAttributesDeleteResponse:
        """Remove attributes of a workflow."""
        scope = _workflow_scope(request.project, request.domain, request.workflow)
        await self._delete(scope, request.resource_type)
        return workflow_pb2.WorkflowAttributesDeleteResponse()

    async def ListMatchableAttributes(
        self, request: matchable_resource_pb2.ListMatchableAttributesRequest, _context: object
    ) -> matchable_resource_pb2.ListMatchableAttributesResponse:
        """Return all attributes of one kind."""
        where = {"resource_type": name_of(MatchableResource, request.resource_type)}
        async with self.backend.database.reading() as tx:
            rows = await self.backend.store.matchables.page(tx, Query(limit=UNLIMITED), where)
        return matchable_resource_pb2.ListMatchableAttributesResponse(
            configurations=[
                matchable_resource_pb2.MatchableAttributesConfiguration(
                    attributes=row.attributes,
                    domain=row.domain,
                    project=row.project,
                    workflow=row.workflow,
                    launch_plan=row.launch_plan,
                )
                for row in rows
            ]
        )

    async def task_limits(self, tx: AsyncConnection, scope: Scope) -> TaskResources:
        """Return the most that tasks there may ask for."""
        keys = [one.key(MatchableResource.TASK_RESOURCE) for one in scope.covering()]
        rows = await self.backend.store.matchables.get_many(tx, keys)
        found = next((rows[key].attributes.task_resource_attributes.limits for key in keys if key in rows), None)
        return (
            self.backend.config.task_limits
            if found is None
            else complete_resources(found, self.backend.config.task_limits)
        )

    async def _find(self, scope: Scope, resource: MatchableResource) -> MatchingAttributes | None:
        require(scope.project, "project")
        keys = [one.key(resource) for one in scope.covering()]
        async with self.backend.database.reading() as tx:
            rows = await self.backend.store.matchables.get_many(tx, keys)
        return next((rows[key].attributes for key in keys if key in rows), None)

    async def _update(self, scope: Scope, attributes: MatchingAttributes) -> None:
        resource = resource_of(attributes)
        if resource == MatchableResource.QUALITY_OF_SERVICE_SPECIFICATION:
            raise InvalidArgumentError("quality_of_service cannot be set by attributes")
        check_attributes(attributes)
        async with self.backend.database.transaction() as tx:
            await self._check(tx, scope)
            rows = self.backend.store.matchables
            await rows.lock(tx, *scope.key(resource))
            known = await rows.get(tx, *scope.key(resource))
            if known is not None:
                merged = merge(known.attributes, attributes)
                await rows.save_many(tx, [replace(known, attributes=merged, updated_at=now())])
                return
            record = MatchableRecord(
                project=scope.project,
                domain=scope.domain,
                workflow=scope.workflow,
                launch_plan=scope.launch_plan,
                resource_type=MatchableResource.Name(resource),
                priority=scope.priority,
                attributes=attributes,
            )
            await rows.add(tx, record)

    async def _check(self, tx: AsyncConnection, scope: Scope) -> None:
        require(scope.project, "project")
        if await self.backend.store.projects.get(tx, scope.project) is None:
            raise InvalidArgumentError(f"project [{scope.project}] not found")
        if scope.domain and scope.domain not in self.backend.config.domain_ids:
            raise InvalidArgumentError(f"domain [{scope.domain}] is unrecognized by system")

    async def _delete(self, scope: Scope, resource: MatchableResource) -> None:
        require(scope.project, "project")
        async with self.backend.database.transaction() as tx:
            if not await self.backend.store.matchables.delete(tx, *scope.key(resource)):
                raise MissingEntityError(f"no {name_of(MatchableResource, resource)} attributes are set there")


def for_execution(matchables: Sequence[MatchableRecord], scope: Scope) -> ExecutionAttributes:
    """Return what matters to an execution of all attributes that its scope is covered by."""
    rows = {(row.project, row.domain, row.workflow, row.launch_plan, row.resource_type): row for row in matchables}
    kinds = (_CONFIG, MatchableResource.EXECUTION_CLUSTER_LABEL, MatchableResource.CLUSTER_ASSIGNMENT)
    scopes = scope.covering() if rows else ()
    configs, labels, assignments = ([rows[key] for one in scopes if (key := one.key(kind)) in rows] for kind in kinds)
    # The most specific settings, then the project's.
    chosen = configs[:1] + [row for row in configs[1:] if not row.domain]
    return ExecutionAttributes(
        configs=tuple(row.attributes.workflow_execution_config for row in chosen),
        cluster_label=labels[0].attributes.execution_cluster_label.value if labels else "",
        cluster_assignment=assignments[0].attributes.cluster_assignment if assignments else None,
    )


def _workflow_scope(project: str, domain: str, workflow: str) -> Scope:
    require(domain, "domain")
    require(workflow, "workflow")
    return Scope(project, domain, workflow)


def _found(attributes: MatchingAttributes | None) -> MatchingAttributes:
    if attributes is None:
        raise MissingEntityError("no attributes of that kind are set there")
    return attributes
