"""Matchable attributes: FlyteAdmin's settings of projects, domains and workflows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteidl.admin import (
    matchable_resource_pb2,
    project_attributes_pb2,
    project_domain_attributes_pb2,
    workflow_attributes_pb2,
)

from flyteform.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform.client.calls import Caller

_ADMIN = "flyteidl.service.AdminService"


@dataclass(frozen=True, slots=True)
class Scope:
    """What attributes are for: a project, a domain of it, or a workflow in that; blank parts mean all."""

    project: str
    domain: str = ""
    workflow: str = ""


@dataclass(frozen=True, slots=True)
class AttributesClient:
    """The calls about attributes; their errors are those of all calls."""

    caller: Caller

    async def list(
        self, resource: matchable_resource_pb2.MatchableResource
    ) -> Sequence[matchable_resource_pb2.MatchableAttributesConfiguration]:
        """Return all attributes of one kind with their scopes; getting one would return those of wider scopes too."""
        request = matchable_resource_pb2.ListMatchableAttributesRequest(resource_type=resource)
        response = matchable_resource_pb2.ListMatchableAttributesResponse
        answer = await self.caller.call(_ADMIN, "ListMatchableAttributes", request, response)
        return answer.configurations

    async def update(self, scope: Scope, attributes: matchable_resource_pb2.MatchingAttributes) -> None:
        """Set attributes; plugin overrides are merged into those that are there by task type."""
        if scope.workflow:
            await self.caller.call(
                _ADMIN,
                "UpdateWorkflowAttributes",
                workflow_attributes_pb2.WorkflowAttributesUpdateRequest(
                    attributes=workflow_attributes_pb2.WorkflowAttributes(
                        project=scope.project,
                        domain=scope.domain,
                        workflow=scope.workflow,
                        matching_attributes=attributes,
                    )
                ),
                workflow_attributes_pb2.WorkflowAttributesUpdateResponse,
            )
        elif scope.domain:
            await self.caller.call(
                _ADMIN,
                "UpdateProjectDomainAttributes",
                project_domain_attributes_pb2.ProjectDomainAttributesUpdateRequest(
                    attributes=project_domain_attributes_pb2.ProjectDomainAttributes(
                        project=scope.project, domain=scope.domain, matching_attributes=attributes
                    )
                ),
                project_domain_attributes_pb2.ProjectDomainAttributesUpdateResponse,
            )
        else:
            await self.caller.call(
                _ADMIN,
                "UpdateProjectAttributes",
                project_attributes_pb2.ProjectAttributesUpdateRequest(
                    attributes=project_attributes_pb2.ProjectAttributes(
                        project=scope.project, matching_attributes=attributes
                    )
                ),
                project_attributes_pb2.ProjectAttributesUpdateResponse,
            )

    async def delete(self, scope: Scope, resource: matchable_resource_pb2.MatchableResource) -> None:
        """Remove attributes; it is no error if there are none."""
        try:
            await self._delete(scope, resource)
        except NotFoundError:
            return

    async def _delete(self, scope: Scope, resource: matchable_resource_pb2.MatchableResource) -> None:
        if scope.workflow:
            await self.caller.call(
                _ADMIN,
                "DeleteWorkflowAttributes",
                workflow_attributes_pb2.WorkflowAttributesDeleteRequest(
                    project=scope.project, domain=scope.domain, workflow=scope.workflow, resource_type=resource
                ),
                workflow_attributes_pb2.WorkflowAttributesDeleteResponse,
            )
        elif scope.domain:
            await self.caller.call(
                _ADMIN,
                "DeleteProjectDomainAttributes",
                project_domain_attributes_pb2.ProjectDomainAttributesDeleteRequest(
                    project=scope.project, domain=scope.domain, resource_type=resource
                ),
                project_domain_attributes_pb2.ProjectDomainAttributesDeleteResponse,
            )
        else:
            await self.caller.call(
                _ADMIN,
                "DeleteProjectAttributes",
                project_attributes_pb2.ProjectAttributesDeleteRequest(project=scope.project, resource_type=resource),
                project_attributes_pb2.ProjectAttributesDeleteResponse,
            )
