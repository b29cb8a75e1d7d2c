"""The runner of executions: what a data plane holds, from the lease until the control plane knows the end."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

from flyteform.errors import UnavailableError
from flyteform.proto.flyteform.v1.link_pb2 import Lease
from flyteform_dataplane.runner.children import Endings
from flyteform_dataplane.runner.config import RunnerConfig
from flyteform_dataplane.runner.context import ExecutionContext, key_of
from flyteform_dataplane.runner.data import LiteralCache
from flyteform_dataplane.runner.dynamics import regrow
from flyteform_dataplane.runner.execution import Execution, World
from flyteform_dataplane.runner.log import LoggedExecution
from flyteform_dataplane.runner.pacing import Turns
from flyteform_dataplane.runner.recovery import look_back

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyteform.objects.ports import ObjectStore
    from flyteform_dataplane.ports import Catalog, Clock, ControlPlane, Executor, Reporter
    from flyteform_dataplane.runner.log import Log

logger = logging.getLogger(__name__)

_PAUSE = timedelta(seconds=1)


class Runner:
    """Runs executions. What it has accepted survives a crash: `start` goes on with all that had not ended."""

    def __init__(
        self,
        log: Log,
        objects: ObjectStore,
        executor: Executor,
        catalog: Catalog,
        reporter: Reporter,
        control: ControlPlane,
        clock: Clock,
        config: RunnerConfig | None = None,
    ) -> None:
        config = config or RunnerConfig()
        self._log = log
        cache = LiteralCache(config.cached_bytes)
        endings = Endings()
        self._world = World(
            self._log,
            objects,
            executor,
            catalog,
            reporter,
            control,
            endings,
            clock,
            config,
            cache,
            Turns(clock, config.fold_seconds),
        )
        self._executions: dict[str, Execution] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ids: dict[str, WorkflowExecutionIdentifier] = {}
        self._causes: dict[str, str] = {}
        # One for each execution that is just changing: what waits for its pods to go must not keep the others.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._told: list[Callable[[WorkflowExecutionIdentifier], Awaitable[None]]] = [endings.ended]
        reporter.on_acknowledged(self._acknowledged)

    def on_finished(self, observe: Callable[[WorkflowExecutionIdentifier], Awaitable[None]]) -> None:
        """Call `observe` with each execution whose end the control plane knows; it is not held any more then."""
        self._told.append(observe)

    async def start(self) -> None:
        """Open the log and go on with every execution that has not ended. The executor must be open."""
        await self._log.open()
        for logged in await self._log.unfinished():
            self._begin(logged)

    async def stop(self) -> None:
        """Stop working; nothing is aborted, and what runs goes on at the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()
        self._executions.clear()
        self._ids.clear()
        self._causes.clear()
        await self._world.turns.close()
        await self._log.close()

    async def accept(self, lease: Lease) -> None:
        """Take over an execution; it is durable when this returns. Accepting it again changes nothing.

        Raises `UnavailableError` when the log cannot be written; the execution is not accepted then.
        """
        key = key_of(lease.id)
        async with self._changing(key):
            if key in self._tasks:
                return
            if await self._log.finished(key):
                await self._tell(lease.id)
                return
            at = self._world.clock.now().timestamp()
            content = lease.SerializeToString()
            await self._log.accept(key, content, at)
            self._begin(LoggedExecution(key, content, at, 0, None, ()))

    async def abort(self, execution: WorkflowExecutionIdentifier, cause: str) -> None:
        """End an execution; nothing happens when it is not held or has ended."""
        key = key_of(execution)
        if key not in self._tasks:
            return
        # Kept, as one that has just begun, or goes back to its log, does not listen yet.
        self._causes[key] = cause
        running = self._executions.get(key)
        if running is not None:
            running.abort(cause)

    async def revoke(self, execution: WorkflowExecutionIdentifier) -> None:
        """Stop an execution and forget it: nothing more of it is told, and a later lease of it begins anew.

        A crash before this returns may leave it in the log. It is held again then, and has to be revoked again.
        """
        key = key_of(execution)
        async with self._changing(key):
            await self._stop_running(execution)
            await self._world.executor.forget(key)
            await self._log.remove(key)

    async def adopt(self, logged: LoggedExecution) -> None:
        """Go on with an execution that the log has; nothing happens when it is held already."""
        async with self._changing(logged.key):
            if logged.key not in self._tasks:
                self._begin(logged)

    async def release(self, execution: WorkflowExecutionIdentifier) -> None:
        """Stop working on an execution and leave it as it is, in the log and in its executor, for another runner."""
        key = key_of(execution)
        async with self._changing(key):
            await self._stop_running(execution)
            await self._world.executor.release(key)

    def holds(self, execution: WorkflowExecutionIdentifier) -> bool:
        """Say whether it was accepted or adopted, and has not ended."""
        return key_of(execution) in self._tasks

    def held(self) -> list[WorkflowExecutionIdentifier]:
        """Return the executions that were accepted and whose end the control plane does not know yet."""
        return list(self._ids.values())

    def _changing(self, key: str) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    async def _stop_running(self, execution: WorkflowExecutionIdentifier) -> None:
        key = key_of(execution)
        task = self._tasks.get(key)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._forget(key)
        self._world.reporter.drop(execution)

    def _begin(self, logged: LoggedExecution) -> None:
        lease = Lease.FromString(logged.lease)
        identifier = self._ids[logged.key] = WorkflowExecutionIdentifier()
        identifier.CopyFrom(lease.id)  # a part of a message keeps all of it in memory
        running = self._run(replace(logged, lease=b""), lease)
        self._tasks[logged.key] = asyncio.create_task(running, name=f"execution {logged.key}")

    async def _run(self, logged: LoggedExecution, lease: Lease) -> None:
        """Run until the end is known; when the log fails, what it has is the truth and is gone back to."""
        key, context = logged.key, ExecutionContext.of(lease, self._world.config.deadlines)
        del lease  # which is large, while the context is not
        going: LoggedExecution | None = logged
        finished = False
        while going is not None and not finished:
            finished = await self._ran(going, context)
            if not finished:
                going, finished = await self._reload(key)
        self._forget(key)
        if finished:
            await self._tell(context.id)
        else:
            logger.warning("execution %s is not in this log any more: another one has it, or nobody", key)

    async def _ran(self, logged: LoggedExecution, context: ExecutionContext) -> bool:
        """Run until the end is known; False if that came to nothing and the log has to be asked how it stands."""
        key = logged.key
        try:
            await look_back(context, self._world.control, self._world.clock)
            await regrow(context, self._world.objects, logged)
            execution = self._executions[key] = Execution(self._world, context, logged)
            if key in self._causes:
                execution.abort(self._causes[key])
            await execution.run()
            await self._log.finish(key)
        except UnavailableError as error:
            logger.warning("execution %s waits for its log or its objects: %s", key, error)
            return False
        except Exception:
            # A defect of ours: what the log has is sound, so going on from there may mend it.
            logger.exception("execution %s stumbled and goes on from its log", key)
            return False
        return True

    async def _reload(self, key: str) -> tuple[LoggedExecution | None, bool]:
        """Return what the log has of an execution that has to go on, and whether it is known to be finished."""
        while True:
            await self._world.clock.sleep(_PAUSE)
            try:
                found = await self._log.load(key)
                return found, found is None and await self._log.finished(key)
            except UnavailableError as error:
                logger.warning("the log cannot be read yet: %s", error)

    def _forget(self, key: str) -> None:
        for known in (self._executions, self._ids, self._tasks, self._causes):
            known.pop(key, None)

    async def _tell(self, execution: WorkflowExecutionIdentifier) -> None:
        for observe in self._told:
            await observe(execution)

    async def _acknowledged(self, execution: WorkflowExecutionIdentifier, event: int) -> None:
        running = self._executions.get(key_of(execution))
        if running is not None:
            running.acknowledge(event)
