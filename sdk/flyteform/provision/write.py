"""One write to the platform per step; writing again what is there already is no error."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, assert_never

from flyteidl.admin import common_pb2, launch_plan_pb2, project_pb2, task_pb2, workflow_pb2

from flyteform.client.upload import upload
from flyteform.errors import AlreadyExistsError
from flyteform.provision.bundle import BUNDLE_PLACEHOLDER
from flyteform.provision.identifiers import RESOURCE_TYPES, identifier_of
from flyteform.provision.model import Action, Kind
from flyteform.provision.unversioned import UNVERSIONED
from flyteform.provision.write_settings import SettingsWriter

if TYPE_CHECKING:
    from flyteform.client.admin import AdminClient
    from flyteform.provision.model import Address, Change, Entity, Plan, ProjectSettings


# Uploads by project, domain and digest.
Uploads = dict[tuple[str, str, str], "asyncio.Task[str]"]


class Writer:
    """Writes the steps of one plan; a bundle is uploaded once per project and domain, when a task first needs it.

    Writers of several plans for one platform may share `uploads`.
    """

    def __init__(self, plan: Plan, client: AdminClient, uploads: Uploads | None = None) -> None:
        self._client = client
        self._bundles = plan.desired.bundles
        self._entities = {entity.address: entity for entity in plan.desired.entities}
        self._projects = {project.address: project for project in plan.desired.projects}
        self._settings = SettingsWriter(plan, client)
        self._uploads: Uploads = {} if uploads is None else uploads

    async def write(self, step: Change) -> None:
        """Take one step; raises the error that the platform answered with."""
        match step.action:
            case _ if step.address.kind in UNVERSIONED:
                await self._settings.write(step)
            case Action.CREATE | Action.NEW_VERSION:
                with suppress(AlreadyExistsError):
                    await self._create(step.address)
            case Action.UPDATE:
                await self._restore_or_update(step.address)
            case Action.ACTIVATE | Action.DEACTIVATE:
                identifier = identifier_of(step.address, step.version or "")
                await self._client.set_launch_plan_active(identifier, active=step.action is Action.ACTIVATE)
            case Action.ARCHIVE:
                await self._archive(step.address)
            case Action.REMOVE | Action.REFRESH | Action.NO_OP:
                pass
            case _:
                assert_never(step.action)

    async def _create(self, address: Address) -> None:
        if address.kind is Kind.PROJECT:
            await self._client.register_project(_new_project(self._projects[address]))
            return
        entity = self._entities[address]
        identifier = identifier_of(address, entity.version)
        match address.kind:
            case Kind.TASK:
                await self._client.create_task(identifier, await self._task_spec(entity))
            case Kind.WORKFLOW:
                await self._client.create_workflow(identifier, workflow_pb2.WorkflowSpec.FromString(entity.spec))
            case _:
                spec = launch_plan_pb2.LaunchPlanSpec.FromString(entity.spec)
                await self._client.create_launch_plan(identifier, spec)

    async def _task_spec(self, entity: Entity) -> task_pb2.TaskSpec:
        spec = task_pb2.TaskSpec.FromString(entity.spec)
        if entity.bundle is not None:
            uri = await self._uploaded(entity.address.project, entity.address.domain, entity.bundle)
            args = spec.template.container.args
            args[:] = [uri if argument == BUNDLE_PLACEHOLDER else argument for argument in args]
        return spec

    async def _uploaded(self, project: str, domain: str, digest: str) -> str:
        key = (project, domain, digest)
        known = self._uploads.get(key)
        if known is None or (known.done() and (known.cancelled() or known.exception() is not None)):
            work = upload(self._client, project, domain, f"{digest}.tar.gz", self._bundles[digest])
            self._uploads[key] = asyncio.create_task(work)
        return await self._uploads[key]

    async def _restore_or_update(self, address: Address) -> None:
        if address.kind is Kind.PROJECT:
            project = await self._client.get_project(address.project)
            _overlay(project, self._projects[address])
            await self._client.update_project(project)
        else:
            await self._set_name_state(address, common_pb2.NAMED_ENTITY_ACTIVE)

    async def _archive(self, address: Address) -> None:
        if address.kind is Kind.PROJECT:
            project = await self._client.get_project(address.project)
            project.state = project_pb2.Project.ARCHIVED
            del project.domains[:]
            await self._client.update_project(project)
        else:
            await self._set_name_state(address, common_pb2.NAMED_ENTITY_ARCHIVED)

    async def _set_name_state(self, address: Address, state: common_pb2.NamedEntityState) -> None:
        """Change the state and keep the description, which the same call would overwrite."""
        resource_type = RESOURCE_TYPES[address.kind]
        name = common_pb2.NamedEntityIdentifier(project=address.project, domain=address.domain, name=address.name)
        entity = await self._client.get_named_entity(resource_type, name)
        entity.resource_type = resource_type
        entity.id.CopyFrom(name)
        entity.metadata.state = state
        await self._client.update_named_entity(entity)


def _new_project(settings: ProjectSettings) -> project_pb2.Project:
    project = project_pb2.Project(id=settings.id, name=settings.id)
    _overlay(project, settings)
    return project


def _overlay(project: project_pb2.Project, settings: ProjectSettings) -> None:
    """Set what is declared; FlyteAdmin refuses requests that name domains, which are its own configuration."""
    del project.domains[:]
    project.state = project_pb2.Project.ACTIVE
    if settings.name is not None:
        project.name = settings.name
    if settings.description is not None:
        project.description = settings.description
    if settings.labels is not None:
        project.labels.values.clear()
        project.labels.values.update(settings.labels)
