"""Child executions: what an attempt of a launch plan node is."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from flyteidl.admin.execution_pb2 import (
    ExecutionCreateRequest,
    ExecutionMetadata,
    ExecutionRecoverRequest,
    ExecutionSpec,
)
from flyteidl.core.execution_pb2 import WorkflowExecution
from flyteidl.core.identifier_pb2 import NodeExecutionIdentifier

from flyteform.errors import AlreadyExistsError, NotFoundError, UnavailableError
from flyteform_dataplane.engine.failures import Failure, FailureKind
from flyteform_dataplane.errors import UserError
from flyteform_dataplane.runner.context import key_of
from flyteform_dataplane.runner.literals import item_inputs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyteidl.admin.execution_pb2 import Execution, ExecutionClosure
    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier
    from flyteidl.core.literals_pb2 import LiteralMap

    from flyteform_dataplane.engine.commands import StartAttempt, StopAttempt
    from flyteform_dataplane.ports import Clock
    from flyteform_dataplane.runner.waits import Surroundings

T = TypeVar("T")

logger = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=1), timedelta(seconds=10)
# With so many children watched at once each is asked for more rarely.
_ASKED_PER_SECOND = 50
_ENDS = {
    WorkflowExecution.SUCCEEDED,
    WorkflowExecution.FAILED,
    WorkflowExecution.ABORTED,
    WorkflowExecution.TIMED_OUT,
}
# What a child has from its parent, where that has it.
_INHERITED = (
    "labels",
    "annotations",
    "security_context",
    "auth_role",
    "quality_of_service",
    "raw_output_data_config",
    "cluster_assignment",
    "interruptible",
    "envs",
    "execution_cluster_label",
    "execution_env_assignments",
)


class Endings:
    """Knows who waits for the end of which execution, so that one that ends here is seen at once."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Event] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    async def ended(self, execution: WorkflowExecutionIdentifier) -> None:
        """Tell who waits for this execution."""
        event = self._waiting.get(key_of(execution))
        if event is not None:
            event.set()

    async def wait(self, execution: WorkflowExecutionIdentifier, clock: Clock, pause: timedelta) -> None:
        """Return when the execution has ended here, or after the pause."""
        key = key_of(execution)
        event = self._waiting.setdefault(key, asyncio.Event())
        sleeping, ending = asyncio.ensure_future(clock.sleep(pause)), asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait((sleeping, ending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting.pop(key, None)
            sleeping.cancel()
            ending.cancel()


class ChildExecutions:
    """Creates the child executions of one execution, waits for their ends and takes their outputs over.

    `told` returns when the control plane knows all that has happened so far: it accepts no child of an unknown node.
    """

    def __init__(self, around: Surroundings, endings: Endings, told: Callable[[], Awaitable[None]]) -> None:
        self._around = around
        self._endings = endings
        self._told = told
        self._creating: dict[str, asyncio.Task[None]] = {}

    async def start(self, command: StartAttempt, *, resumed: bool) -> None:
        """Create the child, unless a former life has, and stay with it until its end."""
        around, name = self._around, self._name(command)
        if not resumed or await self._persist(lambda: self._missing(name)):
            await self._create(command, name)
        around.begin(command, resumed=resumed)
        closure = (await self._ended(name)).closure
        if closure.phase == WorkflowExecution.SUCCEEDED:
            await around.succeed(command, await self._outputs(name, closure))
        else:
            around.fail(command, _failure(name, closure))

    async def stop(self, command: StopAttempt) -> None:
        """End the child. The control plane sees to that once it has agreed."""
        name = self._name(command)
        if (creating := self._creating.get(name.name)) is not None:
            await asyncio.wait((creating,))  # or the child could begin right after it was told to end
        cause = f"its parent {self._around.context.id.name} ended node {command.node}"
        await self._persist(lambda: self._around.control.terminate(name, cause))

    async def _create(self, command: StartAttempt, name: WorkflowExecutionIdentifier) -> None:
        request = await self._request(command, name)
        await self._told()
        try:
            await self._persist(lambda: self._create_whole(command, request))
        except AlreadyExistsError as error:
            # Our own, of a call whose answer was lost, or of a former life.
            known = await self._persist(lambda: self._around.control.execution(name))
            if known.spec.metadata.parent_node_execution != request.spec.metadata.parent_node_execution:
                raise UserError(f"the child execution {name.name} cannot be created: {error.message}") from error
        except NotFoundError as error:
            raise UserError(error.message) from error

    async def _create_whole(self, command: StartAttempt, request: ExecutionCreateRequest) -> None:
        """Create the child by a call that goes on to its end even if nobody wants the child any more."""
        call = self._creating[request.name] = asyncio.ensure_future(self._recover_or_create(command, request))
        call.add_done_callback(lambda _: self._creating.pop(request.name, None))
        call.add_done_callback(_look_at_error)
        await asyncio.shield(call)

    async def _recover_or_create(self, command: StartAttempt, request: ExecutionCreateRequest) -> None:
        former = self._around.context.former.get(command.node)
        if former is not None and former.child is not None and command.attempt == 0:
            recovery = ExecutionRecoverRequest(id=former.child, name=request.name, metadata=request.spec.metadata)
            try:
                await self._around.control.recover(recovery)
            except (UserError, NotFoundError):
                logger.info("child %s cannot be recovered and begins anew", former.child.name)
            else:
                return
        await self._around.control.create(request)

    async def _missing(self, name: WorkflowExecutionIdentifier) -> bool:
        try:
            await self._around.control.execution(name)
        except NotFoundError:
            return True
        return False

    async def _request(self, command: StartAttempt, name: WorkflowExecutionIdentifier) -> ExecutionCreateRequest:
        record = self._around.context.graph.nodes[command.node]
        inputs = await self._around.data.inputs(command.node)
        if self._around.context.is_array(command.node):
            inputs = item_inputs(inputs, record.bound_inputs, command.index)
        parent = NodeExecutionIdentifier(node_id=command.node, execution_id=self._around.context.id)
        own = self._around.context.lease.spec
        spec = ExecutionSpec(
            launch_plan=record.target,
            max_parallelism=own.max_parallelism,
            overwrite_cache=own.overwrite_cache,
            metadata=ExecutionMetadata(mode=ExecutionMetadata.CHILD_WORKFLOW, parent_node_execution=parent),
        )
        inherited = ExecutionSpec()
        inherited.CopyFrom(own)
        for descriptor, _ in own.ListFields():
            if descriptor.name not in _INHERITED:
                inherited.ClearField(descriptor.name)
        spec.MergeFrom(inherited)
        return ExecutionCreateRequest(
            project=name.project, domain=name.domain, name=name.name, spec=spec, inputs=inputs
        )

    async def _ended(self, name: WorkflowExecutionIdentifier) -> Execution:
        pause = _FIRST_PAUSE
        while True:
            execution = await self._persist(lambda: self._around.control.execution(name))
            if execution.closure.phase in _ENDS:
                return execution
            crowd = timedelta(seconds=len(self._endings) / _ASKED_PER_SECOND)
            await self._endings.wait(name, self._around.clock, max(pause, crowd))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    async def _outputs(self, name: WorkflowExecutionIdentifier, closure: ExecutionClosure) -> LiteralMap:
        outputs = await self._persist(lambda: self._around.control.outputs(name))
        if outputs is None:  # where they lie in our own store
            outputs = await self._around.data.read_outputs(closure.outputs.uri)
        return outputs

    async def _persist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Ask until there is an answer: a child must not be given up because the control plane restarts."""
        pause = _FIRST_PAUSE
        while True:
            try:
                return await call()
            except UnavailableError:
                await self._around.clock.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _name(self, command: StartAttempt | StopAttempt) -> WorkflowExecutionIdentifier:
        return self._around.context.child(command.node, command.index, command.attempt)


def _look_at_error(call: asyncio.Task[None]) -> None:
    """Take note of an error that nobody may wait for any more."""
    if not call.cancelled():
        call.exception()


def _failure(name: WorkflowExecutionIdentifier, closure: ExecutionClosure) -> Failure:
    """Return the failure of a child as that of its node; what it could retry it has retried itself."""
    if closure.phase == WorkflowExecution.ABORTED:
        cause = closure.abort_metadata.cause
        return Failure("RemoteChildWorkflowExecutionFailed", f"the child execution {name.name} was aborted: {cause}")
    error = closure.error
    return Failure(error.code or "LaunchPlanExecutionFailed", error.message or "Unknown Error", FailureKind(error.kind))
