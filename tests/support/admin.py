"""An AdminService on a real database and object store, with recorders in place of dispatch and schedules."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flyteidl.admin.execution_pb2 import ExecutionCreateRequest, ExecutionSpec
from flyteidl.admin.launch_plan_pb2 import (
    ACTIVE,
    LaunchPlanCreateRequest,
    LaunchPlanSpec,
    LaunchPlanState,
    LaunchPlanUpdateRequest,
)
from flyteidl.admin.task_pb2 import TaskCreateRequest, TaskSpec
from flyteidl.admin.workflow_pb2 import WorkflowCreateRequest, WorkflowSpec
from flyteidl.core.identifier_pb2 import Identifier, ResourceType, WorkflowExecutionIdentifier
from flyteidl.core.interface_pb2 import TypedInterface, Variable, VariableMap
from flyteidl.core.literals_pb2 import Binding, BindingData, Literal, LiteralMap, Primitive, Scalar
from flyteidl.core.tasks_pb2 import Container, RuntimeMetadata, TaskMetadata, TaskTemplate
from flyteidl.core.types_pb2 import LiteralType, OutputReference, SimpleType
from flyteidl.core.workflow_pb2 import Node, NodeMetadata, TaskNode, WorkflowTemplate

from flyteform.objects import open_store
from flyteform.objects.signing import UrlSigner
from flyteform_controlplane.domain.config import AdminConfig
from flyteform_controlplane.services.admin import AdminService
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.kept_objects import KeptObjects
from flyteform_controlplane.store.migrate import migrate
from flyteform_controlplane.store.seed import seed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from pathlib import Path

    from flyteidl.admin.schedule_pb2 import Schedule

    from flyteform.objects.ports import ObjectStore
    from flyteform_controlplane.domain.ports import EntityKey, ExecutionKey

PROJECT, DOMAIN = "flytesnacks", "development"
INTEGER = LiteralType(simple=SimpleType.INTEGER)


@dataclass
class RecordingDispatch:
    """Remembers what it was asked for; `refuse` is raised by the next enqueue; a data plane has what is in `held`."""

    held: set[str] = field(default_factory=set)
    enqueued: list[tuple[ExecutionKey, str]] = field(default_factory=list)
    near: dict[str, str] = field(default_factory=dict)
    aborted: list[tuple[ExecutionKey, str]] = field(default_factory=list)
    woken: int = 0
    refuse: Exception | None = None
    fail_abort: Exception | None = None
    aborts: asyncio.Event = field(default_factory=asyncio.Event)

    async def check_label(self, _tx: object, _cluster_label: str) -> None:
        """Refuse as the next enqueue would."""
        if self.refuse is not None:
            raise self.refuse

    async def enqueue(self, _tx: object, execution: ExecutionKey, *, cluster_label: str, near: str = "") -> None:
        """Remember it."""
        if self.refuse is not None:
            raise self.refuse
        self.enqueued.append((execution, cluster_label))
        self.near[execution.name] = near

    async def abort(self, _tx: object, execution: ExecutionKey, cause: str) -> bool:
        """Remember it."""
        if self.fail_abort is not None:
            raise self.fail_abort
        self.aborted.append((execution, cause))
        self.aborts.set()
        return execution.name in self.held

    def wake(self) -> None:
        """Count it."""
        self.woken += 1


@dataclass
class RecordingSchedules:
    """Remembers, in order, what was activated and deactivated."""

    calls: list[tuple[str, EntityKey]] = field(default_factory=list)

    async def activate(self, _tx: object, launch_plan: EntityKey, _schedule: Schedule, _at: datetime) -> None:
        """Remember it."""
        self.calls.append(("activate", launch_plan))

    async def deactivate(self, _tx: object, launch_plan: EntityKey) -> None:
        """Remember it."""
        self.calls.append(("deactivate", launch_plan))

    def wake(self) -> None:
        """Nothing waits here."""


@dataclass
class World:
    """A control plane's inside."""

    admin: Any
    database: Database
    objects: ObjectStore
    dispatch: RecordingDispatch
    schedules: RecordingSchedules

    async def register_task(self, name: str = "t", version: str = "v1", *, image: str = "img:1") -> Identifier:
        """Register a task `x: int -> o0: int`."""
        spec = task_spec(name, version, image=image)
        await self.admin.CreateTask(TaskCreateRequest(id=spec.template.id, spec=spec), None)
        return spec.template.id

    async def register_workflow(self, name: str = "wf", version: str = "v1") -> Identifier:
        """Register a workflow `x: int -> o0: int` of one task, with that task."""
        task = await self.register_task(f"{name}.task", version)
        spec = workflow_spec(name, version, task)
        await self.admin.CreateWorkflow(WorkflowCreateRequest(id=spec.template.id, spec=spec), None)
        return spec.template.id

    async def register_launch_plan(
        self, name: str = "wf", version: str = "v1", spec: LaunchPlanSpec | None = None
    ) -> Identifier:
        """Register a launch plan of a workflow of the same name, with that workflow."""
        workflow = await self.register_workflow(name, version)
        full = LaunchPlanSpec(workflow_id=workflow)
        if spec is not None:
            full.MergeFrom(spec)
        plan = identifier(ResourceType.LAUNCH_PLAN, name, version)
        await self.admin.CreateLaunchPlan(LaunchPlanCreateRequest(id=plan, spec=full), None)
        return plan

    async def activate(self, plan: Identifier, state: LaunchPlanState = ACTIVE) -> None:
        """Set the launch plan's state."""
        await self.admin.UpdateLaunchPlan(LaunchPlanUpdateRequest(id=plan, state=state), None)

    async def execute(
        self, entity: Identifier, name: str = "", spec: ExecutionSpec | None = None, **inputs: int
    ) -> WorkflowExecutionIdentifier:
        """Execute a launch plan or a task."""
        full = ExecutionSpec(launch_plan=entity)
        if spec is not None:
            full.MergeFrom(spec)
        request = ExecutionCreateRequest(
            project=PROJECT, domain=DOMAIN, name=name, spec=full, inputs=integers(**inputs)
        )
        response = await self.admin.CreateExecution(request, None)
        name_of: WorkflowExecutionIdentifier = response.id
        return name_of


@asynccontextmanager
async def open_world(
    directory: Path, config: AdminConfig | None = None, *, database_url: str = ""
) -> AsyncIterator[World]:
    """Open a control plane in the directory, or one with its objects there and its rows in another database."""
    (directory / "objects").mkdir(exist_ok=True)
    objects = open_store(f"file://{directory}/objects", signer=UrlSigner(b"k" * 32, "http://127.0.0.1:1/objects"))
    database = Database(database_url or f"sqlite:///{directory}/control.db")
    dispatch, schedules = RecordingDispatch(), RecordingSchedules()
    try:
        await migrate(database)
        await seed(database)
        kept = KeptObjects(database, objects)
        admin = AdminService(database, kept, dispatch, schedules, config or AdminConfig())
        yield World(admin, database, kept, dispatch, schedules)
    finally:
        await database.close()


def identifier(resource_type: ResourceType, name: str, version: str = "v1") -> Identifier:
    """Name a version in the first project's development domain."""
    return Identifier(resource_type=resource_type, project=PROJECT, domain=DOMAIN, name=name, version=version)


def integer(value: int) -> Literal:
    """Make a literal."""
    return Literal(scalar=Scalar(primitive=Primitive(integer=value)))


def integers(**values: int) -> LiteralMap:
    """Make named literals."""
    return LiteralMap(literals={name: integer(value) for name, value in values.items()})


def interface() -> TypedInterface:
    """Return `x: int -> o0: int`."""
    return TypedInterface(
        inputs=VariableMap(variables={"x": Variable(type=INTEGER)}),
        outputs=VariableMap(variables={"o0": Variable(type=INTEGER)}),
    )


def task_spec(name: str, version: str = "v1", *, image: str = "img:1") -> TaskSpec:
    """Return a container task."""
    template = TaskTemplate(
        id=identifier(ResourceType.TASK, name, version),
        type="python-task",
        metadata=TaskMetadata(runtime=RuntimeMetadata(type=RuntimeMetadata.FLYTE_SDK, version="1", flavor="python")),
        interface=interface(),
        container=Container(image=image, args=["run"]),
    )
    return TaskSpec(template=template)


def workflow_spec(name: str, version: str, task: Identifier) -> WorkflowSpec:
    """Return a workflow of one node `n0` that runs the task."""
    template = WorkflowTemplate(
        id=identifier(ResourceType.WORKFLOW, name, version),
        interface=interface(),
        nodes=[
            Node(
                id="n0",
                metadata=NodeMetadata(name="n0"),
                inputs=[Binding(var="x", binding=BindingData(promise=OutputReference(node_id="", var="x")))],
                task_node=TaskNode(reference_id=task),
            )
        ],
        outputs=[Binding(var="o0", binding=BindingData(promise=OutputReference(node_id="n0", var="o0")))],
    )
    return WorkflowSpec(template=template)
