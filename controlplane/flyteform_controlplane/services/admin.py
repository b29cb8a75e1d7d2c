"""FlyteAdmin's main service: one object with the methods of all its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.service.admin_pb2_grpc import AdminServiceServicer

from flyteform_controlplane.services.attributes import Attributes
from flyteform_controlplane.services.backend import Backend
from flyteform_controlplane.services.concurrency import Concurrency
from flyteform_controlplane.services.description_entities import DescriptionEntities
from flyteform_controlplane.services.ending import Ending
from flyteform_controlplane.services.events import Events
from flyteform_controlplane.services.execution_metrics import ExecutionMetrics
from flyteform_controlplane.services.executions import Executions
from flyteform_controlplane.services.launch_plans import LaunchPlans
from flyteform_controlplane.services.launching import Launching
from flyteform_controlplane.services.named_entities import NamedEntities
from flyteform_controlplane.services.node_executions import NodeExecutions
from flyteform_controlplane.services.projects import Projects
from flyteform_controlplane.services.targets import Targets
from flyteform_controlplane.services.task_executions import TaskExecutions
from flyteform_controlplane.services.tasks import Tasks
from flyteform_controlplane.services.version import Versions
from flyteform_controlplane.services.workflows import Workflows
from flyteform_controlplane.store.sql.store import SqlStore

if TYPE_CHECKING:
    from datetime import datetime

    from flyteidl.admin.execution_pb2 import ExecutionCreateRequest, ExecutionMetadata
    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

    from flyteform_controlplane.domain.config import AdminConfig
    from flyteform_controlplane.domain.ports import Dispatch, Schedules
    from flyteform_controlplane.store.database import Database
    from flyteform_controlplane.store.kept_objects import KeptObjects

_METHODS = frozenset(name for name in vars(AdminServiceServicer) if name[0].isupper())


class AdminService(AdminServiceServicer):
    """Serves the AdminService.

    It is the scheduler's `Launcher` too; `events` is what `EventService` applies batches with, and
    `ending` what ends executions and gives their slots on.
    """

    def __init__(
        self,
        database: Database,
        objects: KeptObjects,
        dispatch: Dispatch,
        schedules: Schedules,
        config: AdminConfig,
    ) -> None:
        backend = Backend(database, SqlStore(), objects, dispatch, schedules, config)
        names, workflows, launch_plans = NamedEntities(backend), Workflows(backend), LaunchPlans(backend)
        attributes = Attributes(backend)
        concurrency = Concurrency(backend)
        ending = Ending(backend, concurrency)
        targets = Targets(backend, workflows, launch_plans, names)
        launching = Launching(backend, targets, concurrency, ending)
        self.backend = backend
        self.events = Events(backend, concurrency)
        self.ending = ending
        self._launching = launching
        self._compose(Projects(backend), attributes, Versions())
        self._compose(Tasks(backend, attributes), workflows, launch_plans, names, DescriptionEntities(backend))
        self._compose(Executions(backend, launching, ending), NodeExecutions(backend), TaskExecutions(backend))
        self._compose(ExecutionMetrics(backend), self.events)

    async def launch(
        self,
        request: ExecutionCreateRequest,
        *,
        mode: ExecutionMetadata.ExecutionMode,
        scheduled_at: datetime | None = None,
    ) -> WorkflowExecutionIdentifier:
        """Create an execution as CreateExecution does; `EntityExistsError` if the name is taken."""
        return await self._launching.launch(request, mode=mode, scheduled_at=scheduled_at)

    def _compose(self, *parts: object) -> None:
        for part in parts:
            for name in _METHODS.intersection(dir(part)):
                setattr(self, name, getattr(part, name))
