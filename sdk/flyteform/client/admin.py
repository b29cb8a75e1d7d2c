"""FlyteAdmin's calls, typed: one method per call that we need."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from flyteidl.admin import (
    common_pb2,
    execution_pb2,
    launch_plan_pb2,
    node_execution_pb2,
    project_pb2,
    task_execution_pb2,
    task_pb2,
    workflow_pb2,
)
from flyteidl.service import dataproxy_pb2

from flyteform.client.calls import Caller
from flyteform.client.channel import Anonymous, open_channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flyteidl.core import identifier_pb2
    from google.protobuf.message import Message
    from grpc.aio import Channel

    from flyteform.client.channel import Authenticator
    from flyteform.client.config import ClientConfig

    Response = TypeVar("Response", bound=Message)
    Page = TypeVar(
        "Page",
        task_pb2.TaskList,
        workflow_pb2.WorkflowList,
        launch_plan_pb2.LaunchPlanList,
        common_pb2.NamedEntityList,
        execution_pb2.ExecutionList,
        node_execution_pb2.NodeExecutionList,
        task_execution_pb2.TaskExecutionList,
    )
    _PagedRequest = (
        common_pb2.ResourceListRequest
        | common_pb2.NamedEntityListRequest
        | node_execution_pb2.NodeExecutionListRequest
        | task_execution_pb2.TaskExecutionListRequest
    )

    ExecutionId = identifier_pb2.WorkflowExecutionIdentifier

_ADMIN = "flyteidl.service.AdminService"
_DATA_PROXY = "flyteidl.service.DataProxyService"
_PAGE_ROWS = 100
_NEWEST_FIRST = common_pb2.Sort(key="created_at", direction=common_pb2.Sort.DESCENDING)


@asynccontextmanager
async def connect(config: ClientConfig, authenticator: Authenticator | None = None) -> AsyncIterator[AdminClient]:
    """Open a client for as long as the block lasts."""
    channel = await open_channel(config)
    try:
        yield AdminClient(config, Caller(channel, config.endpoint, authenticator or _authenticator(config, channel)))
    finally:
        await channel.close()


def _authenticator(config: ClientConfig, channel: Channel) -> Authenticator:
    if config.login is None and not config.proxy_command:
        return Anonymous()
    from flyteform.client.auth import authenticator_for

    return authenticator_for(config, channel)


class AdminClient:
    """The calls of one platform. Every method raises the common errors, named after what the platform answered."""

    def __init__(self, config: ClientConfig, caller: Caller) -> None:
        self.config = config
        self._caller = caller

    @property
    def caller(self) -> Caller:
        """What makes the calls, for services beside FlyteAdmin's."""
        return self._caller

    async def get_project(self, project: str) -> project_pb2.Project:
        """Return the project with its domains; `NotFoundError` if there is none."""
        return await self._admin("GetProject", project_pb2.ProjectGetRequest(id=project), project_pb2.Project)

    async def register_project(self, project: project_pb2.Project) -> None:
        """Create a project; `AlreadyExistsError` if its id is taken."""
        request = project_pb2.ProjectRegisterRequest(project=project)
        await self._admin("RegisterProject", request, project_pb2.ProjectRegisterResponse)

    async def update_project(self, project: project_pb2.Project) -> None:
        """Overwrite name, description, labels and state."""
        await self._admin("UpdateProject", project, project_pb2.ProjectUpdateResponse)

    async def create_task(self, identifier: identifier_pb2.Identifier, spec: task_pb2.TaskSpec) -> None:
        """Register a task version."""
        request = task_pb2.TaskCreateRequest(id=identifier, spec=spec)
        await self._admin("CreateTask", request, task_pb2.TaskCreateResponse)

    async def create_workflow(self, identifier: identifier_pb2.Identifier, spec: workflow_pb2.WorkflowSpec) -> None:
        """Register a workflow version; the tasks and launch plans that it calls have to be there."""
        request = workflow_pb2.WorkflowCreateRequest(id=identifier, spec=spec)
        await self._admin("CreateWorkflow", request, workflow_pb2.WorkflowCreateResponse)

    async def create_launch_plan(
        self, identifier: identifier_pb2.Identifier, spec: launch_plan_pb2.LaunchPlanSpec
    ) -> None:
        """Register a launch plan version, inactive."""
        request = launch_plan_pb2.LaunchPlanCreateRequest(id=identifier, spec=spec)
        await self._admin("CreateLaunchPlan", request, launch_plan_pb2.LaunchPlanCreateResponse)

    async def set_launch_plan_active(self, identifier: identifier_pb2.Identifier, *, active: bool) -> None:
        """Activate this version, which deactivates the one that was active, or deactivate it."""
        state = launch_plan_pb2.ACTIVE if active else launch_plan_pb2.INACTIVE
        request = launch_plan_pb2.LaunchPlanUpdateRequest(id=identifier, state=state)
        await self._admin("UpdateLaunchPlan", request, launch_plan_pb2.LaunchPlanUpdateResponse)

    async def get_workflow(self, identifier: identifier_pb2.Identifier) -> workflow_pb2.Workflow:
        """Return one version with its compiled closure."""
        return await self._admin("GetWorkflow", common_pb2.ObjectGetRequest(id=identifier), workflow_pb2.Workflow)

    async def list_tasks(
        self, project: str, domain: str, *, name: str = "", filters: str = "", newest: bool = False
    ) -> AsyncIterator[task_pb2.Task]:
        """Yield task versions; with `newest` only the newest of those that match."""
        request = _list_request(project, domain, name=name, filters=filters, newest=newest)
        async for page in self._pages("ListTasks", request, task_pb2.TaskList, first_only=newest):
            for row in page.tasks:
                yield row

    async def list_workflows(
        self, project: str, domain: str, *, name: str = "", filters: str = "", newest: bool = False
    ) -> AsyncIterator[workflow_pb2.Workflow]:
        """Yield workflow versions, without their compiled closures; with `newest` only the newest that matches."""
        request = _list_request(project, domain, name=name, filters=filters, newest=newest)
        async for page in self._pages("ListWorkflows", request, workflow_pb2.WorkflowList, first_only=newest):
            for row in page.workflows:
                yield row

    async def list_launch_plans(
        self, project: str, domain: str, *, name: str = "", filters: str = "", newest: bool = False
    ) -> AsyncIterator[launch_plan_pb2.LaunchPlan]:
        """Yield launch plan versions; with `newest` only the newest of those that match."""
        request = _list_request(project, domain, name=name, filters=filters, newest=newest)
        async for page in self._pages("ListLaunchPlans", request, launch_plan_pb2.LaunchPlanList, first_only=newest):
            for row in page.launch_plans:
                yield row

    async def list_named_entities(
        self, resource_type: identifier_pb2.ResourceType, project: str, domain: str, *, filters: str = ""
    ) -> AsyncIterator[common_pb2.NamedEntity]:
        """Yield names with their state and description."""
        request = common_pb2.NamedEntityListRequest(
            resource_type=resource_type, project=project, domain=domain, limit=_PAGE_ROWS, filters=filters
        )
        async for page in self._pages("ListNamedEntities", request, common_pb2.NamedEntityList):
            for row in page.entities:
                yield row

    async def get_named_entity(
        self, resource_type: identifier_pb2.ResourceType, name: common_pb2.NamedEntityIdentifier
    ) -> common_pb2.NamedEntity:
        """Return the state and description of a name; `NotFoundError` if nothing is registered under it."""
        request = common_pb2.NamedEntityGetRequest(resource_type=resource_type, id=name)
        return await self._admin("GetNamedEntity", request, common_pb2.NamedEntity)

    async def update_named_entity(self, entity: common_pb2.NamedEntity) -> None:
        """Overwrite description and state (active or archived) of a name."""
        request = common_pb2.NamedEntityUpdateRequest(
            resource_type=entity.resource_type, id=entity.id, metadata=entity.metadata
        )
        await self._admin("UpdateNamedEntity", request, common_pb2.NamedEntityUpdateResponse)

    async def create_execution(self, request: execution_pb2.ExecutionCreateRequest) -> ExecutionId:
        """Start an execution; the request carries its name, so that a repeated call starts nothing twice."""
        answer = await self._admin("CreateExecution", request, execution_pb2.ExecutionCreateResponse)
        return answer.id

    async def get_execution(self, execution: ExecutionId) -> execution_pb2.Execution:
        """Return an execution with its phase and, if it failed, its error."""
        request = execution_pb2.WorkflowExecutionGetRequest(id=execution)
        return await self._admin("GetExecution", request, execution_pb2.Execution)

    async def list_executions(
        self, project: str, domain: str, *, filters: str = "", newest: int
    ) -> AsyncIterator[execution_pb2.Execution]:
        """Yield the `newest` executions that match, the newest first; at most one page of them."""
        request = common_pb2.ResourceListRequest(
            id=common_pb2.NamedEntityIdentifier(project=project, domain=domain),
            limit=newest,
            filters=filters,
            sort_by=_NEWEST_FIRST,
        )
        async for page in self._pages("ListExecutions", request, execution_pb2.ExecutionList, first_only=True):
            for row in page.executions:
                yield row

    async def get_execution_data(self, execution: ExecutionId) -> execution_pb2.WorkflowExecutionGetDataResponse:
        """Return inputs and outputs of an execution."""
        request = execution_pb2.WorkflowExecutionGetDataRequest(id=execution)
        return await self._admin("GetExecutionData", request, execution_pb2.WorkflowExecutionGetDataResponse)

    async def terminate_execution(self, execution: ExecutionId, cause: str) -> None:
        """Abort a running execution; `ConflictError` if it has ended."""
        request = execution_pb2.ExecutionTerminateRequest(id=execution, cause=cause)
        await self._admin("TerminateExecution", request, execution_pb2.ExecutionTerminateResponse)

    async def list_node_executions(self, execution: ExecutionId) -> AsyncIterator[node_execution_pb2.NodeExecution]:
        """Yield the top-level nodes of an execution."""
        request = node_execution_pb2.NodeExecutionListRequest(workflow_execution_id=execution, limit=_PAGE_ROWS)
        async for page in self._pages("ListNodeExecutions", request, node_execution_pb2.NodeExecutionList):
            for row in page.node_executions:
                yield row

    async def get_node_execution(
        self, node: identifier_pb2.NodeExecutionIdentifier
    ) -> node_execution_pb2.NodeExecution:
        """Return one node with its whole error text, which lists cut short."""
        request = node_execution_pb2.NodeExecutionGetRequest(id=node)
        return await self._admin("GetNodeExecution", request, node_execution_pb2.NodeExecution)

    async def list_task_executions(
        self, node: identifier_pb2.NodeExecutionIdentifier
    ) -> AsyncIterator[task_execution_pb2.TaskExecution]:
        """Yield the attempts of one node."""
        request = task_execution_pb2.TaskExecutionListRequest(node_execution_id=node, limit=_PAGE_ROWS)
        async for page in self._pages("ListTaskExecutions", request, task_execution_pb2.TaskExecutionList):
            for row in page.task_executions:
                yield row

    async def create_upload_location(
        self, request: dataproxy_pb2.CreateUploadLocationRequest
    ) -> dataproxy_pb2.CreateUploadLocationResponse:
        """Return a signed URL for one upload and the URI at which the object will lie."""
        return await self._caller.call(
            _DATA_PROXY, "CreateUploadLocation", request, dataproxy_pb2.CreateUploadLocationResponse
        )

    async def _admin(self, method: str, request: Message, response: type[Response]) -> Response:
        return await self._caller.call(_ADMIN, method, request, response)

    async def _pages(
        self, method: str, request: _PagedRequest, response: type[Page], *, first_only: bool = False
    ) -> AsyncIterator[Page]:
        """Yield the pages of a list; the token that comes with a full page leads to the next one."""
        while True:
            page = await self._admin(method, request, response)
            yield page
            if first_only or not page.token:
                return
            request.token = page.token


def _list_request(
    project: str, domain: str, *, name: str, filters: str, newest: bool
) -> common_pb2.ResourceListRequest:
    return common_pb2.ResourceListRequest(
        id=common_pb2.NamedEntityIdentifier(project=project, domain=domain, name=name),
        limit=1 if newest else _PAGE_ROWS,
        filters=filters,
        sort_by=_NEWEST_FIRST if newest else None,
    )
