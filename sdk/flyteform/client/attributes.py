"""Matchable attributes: FlyteAdmin's settings of projects, domains and workflows."""

from __future__ import annotations

import contextlib
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

    from google.protobuf.message import Message

    from flyteform.client.calls import Caller

_ADMIN = "flyteidl.service.AdminService"


@dataclass(frozen=True, slots=True)
class Scope:
    """What attributes are for: a project, a domain of it, or a workflow in that; blank parts mean all."""

    project: str
    domain: str = ""
    workflow: str = ""


@dataclass(frozen=True, slots=True)
class _Level:
    """How FlyteAdmin speaks of scopes of one kind: the calls' name, and the messages of an update and a deletion."""

    noun: str
    parts: tuple[str, ...]
    attributes: type[Message]
    update: type[Message]
    updated: type[Message]
    delete: type[Message]
    deleted: type[Message]


_WORKFLOW = _Level(
    "WorkflowAttributes",
    ("project", "domain", "workflow"),
    workflow_attributes_pb2.WorkflowAttributes,
    workflow_attributes_pb2.WorkflowAttributesUpdateRequest,
    workflow_attributes_pb2.WorkflowAttributesUpdateResponse,
    workflow_attributes_pb2.WorkflowAttributesDeleteRequest,
    workflow_attributes_pb2.WorkflowAttributesDeleteResponse,
)
_DOMAIN = _Level(
    "ProjectDomainAttributes",
    ("project", "domain"),
    project_domain_attributes_pb2.ProjectDomainAttributes,
    project_domain_attributes_pb2.ProjectDomainAttributesUpdateRequest,
    project_domain_attributes_pb2.ProjectDomainAttributesUpdateResponse,
    project_domain_attributes_pb2.ProjectDomainAttributesDeleteRequest,
    project_domain_attributes_pb2.ProjectDomainAttributesDeleteResponse,
)
_PROJECT = _Level(
    "ProjectAttributes",
    ("project",),
    project_attributes_pb2.ProjectAttributes,
    project_attributes_pb2.ProjectAttributesUpdateRequest,
    project_attributes_pb2.ProjectAttributesUpdateResponse,
    project_attributes_pb2.ProjectAttributesDeleteRequest,
    project_attributes_pb2.ProjectAttributesDeleteResponse,
)


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
        level, place = _level(scope)
        whole = level.attributes(**place, matching_attributes=attributes)
        await self.caller.call(_ADMIN, f"Update{level.noun}", level.update(attributes=whole), level.updated)

    async def delete(self, scope: Scope, resource: matchable_resource_pb2.MatchableResource) -> None:
        """Remove attributes; it is no error if there are none."""
        level, place = _level(scope)
        with contextlib.suppress(NotFoundError):
            request = level.delete(**place, resource_type=resource)
            await self.caller.call(_ADMIN, f"Delete{level.noun}", request, level.deleted)


def _level(scope: Scope) -> tuple[_Level, dict[str, str]]:
    """Return the narrowest kind that the scope is of, and its parts."""
    level = _WORKFLOW if scope.workflow else _DOMAIN if scope.domain else _PROJECT
    return level, {name: getattr(scope, name) for name in level.parts}
