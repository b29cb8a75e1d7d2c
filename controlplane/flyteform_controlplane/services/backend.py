"""What every service of the AdminService works with, and the look-ups that they share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flyteidl.admin.project_pb2 import InactiveProject, Project

from flyteform.errors import NotFoundError
from flyteform_controlplane.domain.stored import decoded
from flyteform_controlplane.domain.validation import check_scope, describe
from flyteform_controlplane.errors import InvalidArgumentError, MissingEntityError
from flyteform_controlplane.services.versions import AllVersions

if TYPE_CHECKING:
    from typing import TypeVar

    from flyteidl.core.identifier_pb2 import Identifier, WorkflowExecutionIdentifier
    from google.protobuf.message import Message
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.domain.config import AdminConfig
    from flyteform_controlplane.domain.ports import Dispatch, ExecutionKey, Schedules
    from flyteform_controlplane.domain.records import ExecutionRecord, ProjectRecord
    from flyteform_controlplane.domain.validation import ProjectAndDomain
    from flyteform_controlplane.store.database import Database
    from flyteform_controlplane.store.kept_objects import KeptObjects, Placed
    from flyteform_controlplane.store.ports import Store

    M = TypeVar("M", bound=Message)

_INACTIVE = frozenset({Project.ARCHIVED, Project.SYSTEM_ARCHIVED})


@dataclass(frozen=True, slots=True)
class Backend:
    """The other parts of the control plane, as ports."""

    database: Database
    store: Store
    objects: KeptObjects
    dispatch: Dispatch
    schedules: Schedules
    config: AdminConfig
    versions: AllVersions = field(init=False)

    def __post_init__(self) -> None:
        """Keep what is read of versions beside the store."""
        object.__setattr__(self, "versions", AllVersions(self.database, self.store))

    @property
    def metadata_prefix(self) -> str:
        """The URI below which closures and inputs are written."""
        return f"{self.objects.prefix}/{self.config.metadata_prefix}"

    async def check_project(self, tx: AsyncConnection, scope: ProjectAndDomain) -> ProjectRecord:
        """Return the project of something that is to be created; refuse an unknown or archived one."""
        check_scope(scope)
        return self.usable_project(await self.store.projects.get(tx, scope.project), scope)

    def usable_project(self, project: ProjectRecord | None, scope: ProjectAndDomain) -> ProjectRecord:
        """Return the project that was found, unless nothing can be created in it, or it was not found."""
        what = f"failed to validate that project [{scope.project}] and domain [{scope.domain}] are registered, err: "
        if project is None:
            raise InvalidArgumentError(
                f"{what}[project [{scope.project}] not found]", remedy="register the project, or name another one"
            )
        if project.state in _INACTIVE:
            raise InvalidArgumentError(
                f"project [{scope.project}] is not active", details=(InactiveProject(id=scope.project),)
            )
        if scope.domain not in self.config.domain_ids:
            domains = ", ".join(sorted(self.config.domain_ids))
            raise InvalidArgumentError(
                f"{what}[domain [{scope.domain}] is unrecognized by system]", remedy=f"the domains are {domains}"
            )
        return project

    async def execution(self, tx: AsyncConnection, name: WorkflowExecutionIdentifier | ExecutionKey) -> ExecutionRecord:
        """Return the execution; `MissingEntityError` if there is none."""
        record = await self.store.executions.get(tx, name.project, name.domain, name.name)
        if record is None:
            raise MissingEntityError(
                f"missing entity of type execution with identifier {name.project}:{name.domain}:{name.name}"
            )
        return record

    async def read_message(self, uri: str, message_type: type[M]) -> M:
        """Read a message that the control plane itself wrote."""
        try:
            return decoded(message_type, await self.objects.get(uri), uri)
        except NotFoundError as error:
            raise MissingEntityError(f"the object {uri} is gone from the object store") from error

    async def place(self, uri: str, message: Message) -> Placed:
        """Say where a new message is to lie, with the row that names it or apart: nobody else writes there."""
        return await self.objects.place(uri, message.SerializeToString(deterministic=True))


def missing(kind: str, identifier: Identifier) -> MissingEntityError:
    """Return the error for a version that does not exist."""
    return MissingEntityError(f"missing entity of type {kind} with identifier {describe(identifier)}")
