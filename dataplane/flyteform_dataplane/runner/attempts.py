"""Attempts of tasks: prepared by their plugin, run by the executor, judged by what they leave."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

from flyteidl.core.dynamic_job_pb2 import DynamicJobSpec
from flyteidl.core.literals_pb2 import LiteralMap

from flyteform.errors import FlyteformError, NotFoundError
from flyteform_dataplane.engine.failures import Failure, FailureKind
from flyteform_dataplane.engine.observations import (
    AttemptFailed,
    AttemptRunning,
    AttemptSucceeded,
    AttemptUnfolded,
    AttemptWaiting,
)
from flyteform_dataplane.engine.phases import ItemPhase, Wait
from flyteform_dataplane.errors import UserError
from flyteform_dataplane.plugins.arguments import wants_task_template
from flyteform_dataplane.plugins.ports import TaskContext
from flyteform_dataplane.ports import AttemptPhase, JobSpec
from flyteform_dataplane.runner.context import Attempted
from flyteform_dataplane.runner.data import look_at_error
from flyteform_dataplane.runner.ends import SUCCEEDED, judge_exit, read_end
from flyteform_dataplane.runner.literals import item_inputs
from flyteform_dataplane.runner.waits import give_up

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier
    from flyteidl.core.tasks_pb2 import TaskTemplate

    from flyteform.objects.ports import ObjectStore
    from flyteform_dataplane.engine.commands import StartAttempt, StopAttempt
    from flyteform_dataplane.engine.observations import Observation
    from flyteform_dataplane.engine.state import State
    from flyteform_dataplane.ports import AnyAttempt, AttemptUpdate, Clock, Executor
    from flyteform_dataplane.runner.config import RunnerConfig
    from flyteform_dataplane.runner.context import ExecutionContext
    from flyteform_dataplane.runner.data import ExecutionData
    from flyteform_dataplane.runner.dynamics import Dynamics
    from flyteform_dataplane.runner.ends import End

    _Prepared: TypeAlias = tuple[TaskContext, AnyAttempt | LiteralMap]

_WAITS = {
    AttemptPhase.WAITING_FOR_RESOURCES: Wait.WAITING_FOR_RESOURCES,
    AttemptPhase.QUEUED: Wait.QUEUED,
    AttemptPhase.INITIALIZING: Wait.INITIALIZING,
}


class Attempts:
    """Starts and stops the attempts of one execution and says how they end."""

    def __init__(  # noqa: PLR0913 - one for each thing that an attempt touches
        self,
        context: ExecutionContext,
        state: State,
        *,
        data: ExecutionData,
        dynamics: Dynamics,
        objects: ObjectStore,
        executor: Executor,
        clock: Clock,
        config: RunnerConfig,
        observe: Callable[[Observation], None],
        soon: Callable[[Callable[[], Awaitable[None]]], None],
    ) -> None:
        self._context = context
        self._state = state
        self._data = data
        self._dynamics = dynamics
        self._objects = objects
        self._executor = executor
        self._clock = clock
        self._config = config
        self._observe = observe
        self._soon = soon
        self._looks_back = False
        self._starting: dict[str, asyncio.Event] = {}
        # Why items of a node wait, as it was told last: what ten thousand of them wait for is told and kept once.
        self._told: dict[str, str] = {}
        self._prepared: dict[StartAttempt, asyncio.Task[_Prepared]] = {}

    def look_back(self) -> None:
        """Look at every attempt whether it has ended already: any may have been started before a crash."""
        self._looks_back = True

    def prepare(self, command: StartAttempt) -> None:
        """Begin to work out what will run.

        Safe before the step that wants it is durable: the same follows from the same outputs at any time.
        """
        if command.node not in self._context.former:
            task = self._prepared[command] = asyncio.create_task(self._prepare(command))
            task.add_done_callback(look_at_error)

    async def close(self) -> None:
        """Give up what is being prepared."""
        await give_up(self._prepared.values())

    async def start(self, command: StartAttempt, *, resumed: bool) -> None:
        """Start the attempt. One that was started before a crash and has left its end is not run again."""
        if (resumed or self._looks_back) and await self._ended_before(command):
            return
        if not resumed and await self._made_before(command):
            return
        begun = self._prepared.pop(command, None)
        context, prepared = await (self._prepare(command) if begun is None else begun)
        if isinstance(prepared, LiteralMap):
            await self._data.write_outputs(f"{context.output_prefix}/outputs.pb", prepared)
            self._observe(AttemptSucceeded(command.node, command.index, command.attempt, self._now()))
            return
        if context.index is not None and not isinstance(prepared, JobSpec) and prepared.copying is not None:
            # A command that knows nothing of Flyte cannot pick its own of the whole node's inputs.
            await self._objects.put(prepared.copying.inputs_uri, context.inputs.SerializeToString(), durable=False)
        if not self._wanted(command):
            return
        started = self._starting[context.name] = asyncio.Event()
        try:
            await self._executor.start(prepared, lambda update: self._updated(command, update))
        finally:
            del self._starting[context.name]
            started.set()

    async def _prepare(self, command: StartAttempt) -> _Prepared:
        context = await self._task_context(command)
        plugin = await self._config.plugins.plugin(context.task, self._context.lease.plugin_overrides)
        if context.index is None:
            self._context.attempted[command.node, command.attempt] = Attempted(plugin.id, command.interruptible)
        return context, plugin.prepare(context)

    async def stop(self, command: StopAttempt) -> None:
        """End the attempt, after its start if that is under way."""
        name = self._context.attempt_name(command.node, command.index, command.attempt)
        if (started := self._starting.get(name)) is not None:
            await started.wait()
        await self._executor.stop(name)

    def _updated(self, command: StartAttempt, update: AttemptUpdate) -> None:
        node, index, attempt, at = command.node, command.index, command.attempt, update.at.timestamp()
        match update.phase:
            case AttemptPhase.WAITING_FOR_RESOURCES | AttemptPhase.QUEUED | AttemptPhase.INITIALIZING:
                reason = self._news(node, update.reason) if self._context.is_array(node) else update.reason
                self._observe(AttemptWaiting(node, index, attempt, _WAITS[update.phase], reason, at))
            case AttemptPhase.RUNNING:
                self._observe(AttemptRunning(node, index, attempt, at, update.log_uri))
            case AttemptPhase.EXITED:
                self._soon(lambda: self._judge(command, update))
            case AttemptPhase.LOST:
                reason = update.reason or "its executor does not know it any more"
                failure = Failure(
                    "AttemptLost", f"the attempt was lost: {reason}", FailureKind.SYSTEM, recoverable=True
                )
                self._observe(AttemptFailed(node, index, attempt, failure, at, update.log_uri))

    def _news(self, node: str, reason: str) -> str:
        if self._told.get(node) == reason:
            return ""
        self._told[node] = reason
        return reason

    async def _judge(self, command: StartAttempt, update: AttemptUpdate) -> None:
        prefix = self._context.output_prefix(command.node, command.index, command.attempt)
        has_outputs = bool(self._task(command.node).interface.outputs.variables)
        try:
            end = await judge_exit(self._data, self._objects, prefix, update, has_outputs=has_outputs)
        except FlyteformError as error:
            message = f"how the attempt ended cannot be read: {error.message}"
            end = Failure(error.code, message, FailureKind.SYSTEM, recoverable=True)
        await self._tell(command, end, update.at.timestamp(), update.log_uri)

    async def _tell(self, command: StartAttempt, end: End, at: float, log_uri: str = "") -> None:
        """Observe how an attempt has ended; the nodes of a dynamic one are in the graph by then."""
        attempt = command.node, command.index, command.attempt
        dynamic = isinstance(end, DynamicJobSpec)
        if isinstance(end, DynamicJobSpec):
            end = await self._unfold(command, end)
        if isinstance(end, Failure):
            seen: Observation = AttemptFailed(*attempt, end, at, log_uri)
        else:
            seen = (AttemptUnfolded if dynamic else AttemptSucceeded)(*attempt, at, log_uri)
        self._observe(seen)

    async def _unfold(self, command: StartAttempt, job: DynamicJobSpec) -> End:
        if self._context.is_array(command.node):
            return Failure("UnsupportedNodeKind", "a map cannot run tasks that make nodes; call a launch plan instead")
        try:
            return await self._dynamics.unfold(command.node, command.attempt, job) or SUCCEEDED
        except FlyteformError as error:
            message = f"what the attempt made cannot be prepared: {error.message}"
            return Failure(error.code, message, FailureKind.SYSTEM, recoverable=True)

    async def _ended_before(self, command: StartAttempt) -> bool:
        prefix = self._context.output_prefix(command.node, command.index, command.attempt)
        end = await read_end(self._data, self._objects, prefix)
        if end is not None:
            await self._tell(command, end, self._now())
        return end is not None

    async def _made_before(self, command: StartAttempt) -> bool:
        """Whether the execution that is recovered has what the task makes: it need not run to make it again."""
        former = self._context.former.get(command.node)
        if former is None or not former.futures_uri or command.attempt:
            return False
        try:
            futures = await self._objects.get(former.futures_uri)
        except NotFoundError:
            return False
        prefix = self._context.output_prefix(command.node, command.index, command.attempt)
        await self._objects.put(f"{prefix}/futures.pb", futures)
        return await self._ended_before(command)

    async def _task_context(self, command: StartAttempt) -> TaskContext:
        context, node, index, attempt = self._context, command.node, command.index, command.attempt
        task, inputs = self._task(node), await self._data.inputs(node)
        array = context.is_array(node)
        former = context.former.get(node)
        previous = former.checkpoint_uri if former is not None and not array else ""
        if attempt:
            previous = f"{context.raw_output_prefix(node, index, attempt - 1)}/_flytecheckpoints"
        execution = context.id
        console = self._config.console_url.rstrip("/")
        return TaskContext(
            name=context.attempt_name(node, index, attempt),
            execution=execution,
            workflow=context.workflow,
            node=node,
            index=index if array else None,
            attempt=attempt,
            task=task,
            inputs=item_inputs(inputs, context.graph.nodes[node].bound_inputs, index) if array else inputs,
            inputs_uri=context.inputs_uri(node),
            output_prefix=context.output_prefix(node, index, attempt),
            raw_output_prefix=context.raw_output_prefix(node, index, attempt),
            previous_checkpoint=previous,
            task_template_uri=await self._write_template(node, task),
            console_url=console and _page(console, execution, node),
            environment={pair.key: pair.value for pair in context.lease.spec.envs.values},
            labels=context.lease.spec.labels.values,
            annotations=context.lease.spec.annotations.values,
            service_account=context.lease.spec.security_context.run_as.k8s_service_account,
            interruptible=command.interruptible,
            platform=context.lease.task_resources,
        )

    async def _write_template(self, node: str, task: TaskTemplate) -> str:
        if not wants_task_template((*task.container.command, *task.container.args)):
            return ""
        uri = f"{self._context.lease.metadata_prefix}/{node}/data/task.pb"
        await self._objects.put(uri, task.SerializeToString())
        return uri

    def _task(self, node: str) -> TaskTemplate:
        task = self._context.graph.nodes[node].task
        if task is None:
            raise UserError(f"node {node} has no task to run")
        return task

    def _wanted(self, command: StartAttempt) -> bool:
        """Whether the attempt is still the one to run; checked right before it starts."""
        items = self._state.nodes[command.node].items
        if items is None or items.attempt(command.index) != command.attempt:
            return False
        return ItemPhase(items.phases[command.index]).attempting

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _page(console: str, execution: WorkflowExecutionIdentifier, node: str) -> str:
    """Return where the console shows a node, as Flyte's has it."""
    place = f"projects/{execution.project}/domains/{execution.domain}/executions/{execution.name}"
    return f"{console}/{place}/nodeId/{node}/nodes"
