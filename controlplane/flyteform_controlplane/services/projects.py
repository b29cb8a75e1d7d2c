"""Projects and domains."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flyteidl.admin import project_pb2

from flyteform_controlplane.domain.filters import Entity, Filter, Function, Sort
from flyteform_controlplane.domain.paging import next_token, parse_query
from flyteform_controlplane.domain.records import ProjectRecord
from flyteform_controlplane.domain.times import now
from flyteform_controlplane.domain.validation import check_project, require
from flyteform_controlplane.errors import EntityExistsError, MissingEntityError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.services.backend import Backend

_NOT_ARCHIVED = Filter(Function.NOT_EQUAL, None, "state", (str(project_pb2.Project.ARCHIVED),))


@dataclass(frozen=True, slots=True)
class Projects:
    """The AdminService's methods about projects and domains."""

    backend: Backend

    async def RegisterProject(
        self, request: project_pb2.ProjectRegisterRequest, _context: object
    ) -> project_pb2.ProjectRegisterResponse:
        """Create a project; ALREADY_EXISTS if there is one with that id."""
        project = request.project
        require(request.HasField("project"), "project")
        require(project.name, "project_name")
        check_project(project)
        record = ProjectRecord(
            identifier=project.id,
            name=project.name,
            description=project.description,
            labels=project.labels,
            state=project.state,
        )
        async with self.backend.database.transaction() as tx:
            if await self.backend.store.projects.get(tx, project.id) is not None:
                raise EntityExistsError(f"project with identifier {project.id} already exists")
            await self.backend.store.projects.add(tx, record)
        return project_pb2.ProjectRegisterResponse()

    async def UpdateProject(self, request: project_pb2.Project, _context: object) -> project_pb2.ProjectUpdateResponse:
        """Overwrite name, description, labels and state; an empty name leaves it."""
        check_project(request)
        async with self.backend.database.transaction() as tx:
            record = await self._get(tx, request.id)
            changed = replace(
                record,
                name=request.name or record.name,
                description=request.description,
                labels=request.labels,
                state=request.state,
                updated_at=now(),
            )
            await self.backend.store.projects.save_many(tx, [changed])
        return project_pb2.ProjectUpdateResponse()

    async def GetProject(self, request: project_pb2.ProjectGetRequest, _context: object) -> project_pb2.Project:
        """Return one project."""
        require(request.id, "project_id")
        async with self.backend.database.reading() as tx:
            return self._message(await self._get(tx, request.id))

    async def ListProjects(self, request: project_pb2.ProjectListRequest, _context: object) -> project_pb2.Projects:
        """Return a page of projects: by id unless sorted otherwise, without archived ones unless filtered."""
        query = parse_query(request, Entity.PROJECT, needs_limit=False)
        if not query.filters:
            query = replace(query, filters=(_NOT_ARCHIVED,))
        if query.sort is None:
            query = replace(query, sort=Sort("identifier", ascending=True))
        async with self.backend.database.reading() as tx:
            rows = await self.backend.store.projects.page(tx, query)
        return project_pb2.Projects(projects=[self._message(row) for row in rows], token=next_token(query, rows))

    async def GetDomains(
        self, _request: project_pb2.GetDomainRequest, _context: object
    ) -> project_pb2.GetDomainsResponse:
        """Return the platform's domains."""
        return project_pb2.GetDomainsResponse(domains=self._domains())

    def _domains(self) -> list[project_pb2.Domain]:
        return [project_pb2.Domain(id=domain.id, name=domain.name) for domain in self.backend.config.domains]

    async def _get(self, tx: AsyncConnection, identifier: str) -> ProjectRecord:
        record = await self.backend.store.projects.get(tx, identifier)
        if record is None:
            raise MissingEntityError(f"project [{identifier}] not found")
        return record

    def _message(self, record: ProjectRecord) -> project_pb2.Project:
        return project_pb2.Project(
            id=record.identifier,
            name=record.name,
            description=record.description,
            labels=record.labels,
            state=record.state,
            domains=self._domains(),
        )
