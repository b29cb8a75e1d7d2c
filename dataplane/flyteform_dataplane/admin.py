"""The control plane's AdminService and SignalService, as executions use them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from flyteidl.admin import execution_pb2, node_execution_pb2, signal_pb2
from flyteidl.admin.common_pb2 import ObjectGetRequest
from flyteidl.service.admin_pb2_grpc import AdminServiceStub
from flyteidl.service.signal_pb2_grpc import SignalServiceStub

from flyteform.compiler import LaunchPlanInterface
from flyteform.errors import AlreadyExistsError, FlyteformError, NotFoundError, UnavailableError
from flyteform_dataplane.errors import UserError

if TYPE_CHECKING:
    from flyteidl.core.identifier_pb2 import Identifier, SignalIdentifier, WorkflowExecutionIdentifier
    from flyteidl.core.literals_pb2 import Literal, LiteralMap
    from flyteidl.core.types_pb2 import LiteralType

_TIMEOUT = 30.0  # seconds for one call
# Enough to keep a control plane busy; ten thousand children at once would only make its calls time out.
_CALLS = 32
_PAGE = 500
_FOR_GOOD = {
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExistsError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.INVALID_ARGUMENT: UserError,
    grpc.StatusCode.FAILED_PRECONDITION: UserError,
    grpc.StatusCode.OUT_OF_RANGE: UserError,
    grpc.StatusCode.PERMISSION_DENIED: UserError,
}
_OVER = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)


class AdminClient:
    """Asks the control plane over a channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._admin: Any = AdminServiceStub(channel)  # type: ignore[no-untyped-call] # flyteidl's stubs have no types
        self._signals: Any = SignalServiceStub(channel)  # type: ignore[no-untyped-call] # as above
        self._calls = asyncio.Semaphore(_CALLS)

    async def create(self, request: execution_pb2.ExecutionCreateRequest) -> None:
        """Create an execution; `AlreadyExistsError` if there is one of that name."""
        await self._call(self._admin.CreateExecution, request)

    async def recover(self, request: execution_pb2.ExecutionRecoverRequest) -> None:
        """Create an execution that takes over what succeeded in another one; errors as those of `create`."""
        await self._call(self._admin.RecoverExecution, request)

    async def execution(self, name: WorkflowExecutionIdentifier) -> execution_pb2.Execution:
        """Return an execution as it stands now; `NotFoundError` if there is none."""
        request = execution_pb2.WorkflowExecutionGetRequest(id=name)
        execution: execution_pb2.Execution = await self._call(self._admin.GetExecution, request)
        return execution

    async def terminate(self, name: WorkflowExecutionIdentifier, cause: str) -> None:
        """Ask for the end of an execution; nothing happens if it has ended or never was."""
        request = execution_pb2.ExecutionTerminateRequest(id=name, cause=cause)
        await self._call(self._admin.TerminateExecution, request, fine=_OVER)

    async def outputs(self, name: WorkflowExecutionIdentifier) -> LiteralMap | None:
        """Return the outputs of an execution; None if they are too large to be told."""
        request = execution_pb2.WorkflowExecutionGetDataRequest(id=name)
        data = await self._call(self._admin.GetExecutionData, request)
        outputs: LiteralMap = data.full_outputs
        return outputs if outputs.literals or not data.outputs.bytes else None

    async def signal(self, name: SignalIdentifier, kind: LiteralType) -> Literal | None:
        """Return the value of a signal, None while it has none; it exists from then on."""
        request = signal_pb2.SignalGetOrCreateRequest(id=name, type=kind)
        signal: signal_pb2.Signal = await self._call(self._signals.GetOrCreateSignal, request)
        return signal.value if signal.value.WhichOneof("value") else None

    async def nodes(self, name: WorkflowExecutionIdentifier, parent: str) -> list[node_execution_pb2.NodeExecution]:
        """Return the node executions of an execution that run below a node (`""`: at the top)."""
        found: list[node_execution_pb2.NodeExecution] = []
        request = node_execution_pb2.NodeExecutionListRequest(
            workflow_execution_id=name, unique_parent_id=parent, limit=_PAGE
        )
        while True:
            page = await self._call(self._admin.ListNodeExecutions, request)
            found.extend(page.node_executions)
            if not page.token:
                return found
            request.token = page.token

    async def launch_plan(self, name: Identifier) -> LaunchPlanInterface:
        """Return the interface of a launch plan; `NotFoundError` if there is none."""
        plan = await self._call(self._admin.GetLaunchPlan, ObjectGetRequest(id=name))
        return LaunchPlanInterface(
            plan.id, plan.closure.expected_inputs, plan.spec.fixed_inputs, plan.closure.expected_outputs
        )

    async def _call(self, method: Any, request: object, *, fine: tuple[grpc.StatusCode, ...] = ()) -> Any:
        async with self._calls:
            try:
                return await method(request, timeout=_TIMEOUT)
            except grpc.aio.AioRpcError as error:
                if error.code() in fine:
                    return None
                raise _translated(error) from error


def _translated(error: grpc.aio.AioRpcError) -> FlyteformError:
    kind = _FOR_GOOD.get(error.code())
    if kind is None:
        return UnavailableError(f"the control plane did not answer ({error.code().name}): {error.details()}")
    return kind(error.details() or error.code().name)
