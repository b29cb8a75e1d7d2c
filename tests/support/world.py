"""The ports of the data plane's runner, in memory: an executor that runs functions, a cache, a control plane, time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from flyteidl.core.dynamic_job_pb2 import DynamicJobSpec
from flyteidl.core.errors_pb2 import ContainerError, ErrorDocument
from flyteidl.core.literals_pb2 import LiteralMap

from flyteform.errors import InvalidInputError, NotFoundError, UnavailableError
from flyteform.objects.ports import ObjectInfo
from flyteform_dataplane.ports import AttemptPhase, AttemptUpdate, CachedOutputs
from flyteform_dataplane.runner import Runner, RunnerConfig
from flyteform_dataplane.runner.log import ExecutionLog
from support.control import FakeControl
from support.legality import AdminRows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

    from flyteform.objects.ports import Method, SignedUrl
    from flyteform.proto.flyteform.v1.events_pb2 import Event
    from flyteform.proto.flyteform.v1.link_pb2 import Lease
    from flyteform_dataplane.ports import AttemptSpec, CacheKey, CacheSource


class MemoryStore:
    """Objects in a dictionary."""

    prefix = "mem://store"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.volatile: set[str] = set()

    async def get(self, uri: str, *, limit: int | None = None) -> bytes:
        """Return the content."""
        if uri not in self.objects:
            raise NotFoundError(f"there is no {uri}")
        content = self.objects[uri]
        if limit is not None and len(content) > limit:
            raise InvalidInputError(f"{uri} has more than {limit} bytes")
        return content

    async def put(self, uri: str, data: bytes, *, if_absent: bool = False, durable: bool = True) -> None:
        """Store the content."""
        assert not if_absent
        self.objects[uri] = data
        (self.volatile.discard if durable else self.volatile.add)(uri)

    def lose(self) -> None:
        """Forget what was not stored durably, as a power cut does."""
        for uri in self.volatile:
            self.objects.pop(uri, None)
        self.volatile.clear()

    async def head(self, uri: str) -> ObjectInfo | None:
        """Describe the object."""
        return ObjectInfo(uri, len(self.objects[uri]), None) if uri in self.objects else None

    async def delete(self, uri: str) -> None:
        """Remove the object."""
        self.objects.pop(uri, None)

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield what starts with the prefix."""
        for uri in sorted(self.objects):
            if uri.startswith(prefix):
                yield ObjectInfo(uri, len(self.objects[uri]), None)

    async def sign(self, uri: str, method: Method, expires_in: timedelta, *, md5: bytes | None = None) -> SignedUrl:
        """Refuse: nothing here is reached by URL."""
        raise InvalidInputError(f"{method} {uri} cannot be signed ({expires_in}, {md5!r})")

    def literals(self, uri: str) -> LiteralMap:
        """Return stored literals."""
        return LiteralMap.FromString(self.objects[uri])


@dataclass(frozen=True)
class Broken:
    """What a task of the fake executor returns in order to fail; without a code it dies with `exit_code`."""

    code: str = ""
    message: str = ""
    recoverable: bool = True
    exit_code: int = 1
    origin: int = 1


Result: TypeAlias = LiteralMap | DynamicJobSpec | Broken | None


class FakeExecutor:
    """Calls a function for each attempt; None from it means that the attempt runs until it is stopped."""

    def __init__(self, store: MemoryStore, body: Callable[[AttemptSpec], Result]) -> None:
        self._store = store
        self._body = body
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.started: list[str] = []
        self.stopped: list[str] = []
        self.released: list[str] = []
        self.specs: dict[str, AttemptSpec] = {}
        # What each attempt is said to wait for before it runs.
        self.waits: list[tuple[AttemptPhase, str]] = []

    @property
    def running(self) -> set[str]:
        """The attempts that have not ended."""
        return {name for name, task in self._tasks.items() if not task.done()}

    async def start(self, attempt: AttemptSpec, observe: Callable[[AttemptUpdate], None]) -> None:
        """Run the attempt in a task of its own."""
        self.started.append(attempt.name)
        self.specs[attempt.name] = attempt
        self._tasks[attempt.name] = asyncio.create_task(self._run(attempt, observe))

    async def stop(self, name: str) -> None:
        """End the attempt."""
        self.stopped.append(name)
        task = self._tasks.get(name)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def forget(self, execution: str) -> None:
        """End what runs of the execution, and note which it was."""
        for name in [name for name in self.running if name.startswith(f"{execution}/")]:
            await self.stop(name)

    async def end(self, execution: str) -> None:
        """End what runs of the execution, and note which it was."""
        await self.forget(execution)

    async def release(self, execution: str) -> None:
        """Note that the execution is somebody else's; what runs goes on."""
        self.released.append(execution)

    async def kill(self) -> None:
        """End everything without a word, as a crash does."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _run(self, attempt: AttemptSpec, observe: Callable[[AttemptUpdate], None]) -> None:
        for phase, reason in self.waits:
            observe(AttemptUpdate(attempt.name, phase, datetime.now(UTC), reason=reason))
            await asyncio.sleep(0)
        observe(AttemptUpdate(attempt.name, AttemptPhase.RUNNING, datetime.now(UTC), f"log:{attempt.name}"))
        await asyncio.sleep(0)
        result = self._body(attempt)
        if isinstance(result, asyncio.Future):
            result = await result
        prefix = attempt.command[-1]
        code = 0
        if result is None:
            await asyncio.Event().wait()
        elif isinstance(result, DynamicJobSpec):
            await self._store.put(f"{prefix}/futures.pb", result.SerializeToString())
        elif isinstance(result, LiteralMap):
            await self._store.put(f"{prefix}/outputs.pb", result.SerializeToString())
        elif result.code:
            kind = ContainerError.RECOVERABLE if result.recoverable else ContainerError.NON_RECOVERABLE
            error = ContainerError(code=result.code, message=result.message, kind=kind, origin=result.origin)  # type: ignore[arg-type]
            await self._store.put(f"{prefix}/error.pb", ErrorDocument(error=error).SerializeToString())
        else:
            code = result.exit_code
        name = attempt.name
        observe(AttemptUpdate(name, AttemptPhase.EXITED, datetime.now(UTC), f"log:{name}", exit_code=code))


class FakeCatalog:
    """A cache in a dictionary; `broken` makes every call fail."""

    def __init__(self) -> None:
        self.kept: dict[bytes, CachedOutputs] = {}
        self.reserved: dict[bytes, tuple[str, float]] = {}
        self.asked = 0
        self.broken = False

    async def get(self, key: CacheKey) -> CachedOutputs | None:
        """Look up."""
        self._check()
        return self.kept.get(_digest(key))

    async def put(self, key: CacheKey, outputs: LiteralMap, source: CacheSource, *, overwrite: bool) -> CachedOutputs:
        """Store."""
        self._check()
        if overwrite or _digest(key) not in self.kept:
            made_by = source.execution
            self.kept[_digest(key)] = CachedOutputs(
                outputs, "artifact", "tag", "dataset", "v", made_by.project, made_by.domain, made_by.name, source.node
            )
        return self.kept[_digest(key)]

    async def reserve(self, key: CacheKey, owner: str, heartbeat: timedelta) -> bool:
        """Take or extend, as DataCatalog does."""
        self._check()
        self.asked += 1
        now = asyncio.get_running_loop().time()
        holder, until = self.reserved.get(_digest(key), (owner, 0.0))
        if holder != owner and until > now:
            return False
        # As short as the clock's pauses, or rather longer, as the machine may be busy.
        self.reserved[_digest(key)] = owner, now + 30 * heartbeat.total_seconds() / 100
        return True

    async def release(self, key: CacheKey, owner: str) -> None:
        """Give back."""
        self._check()
        if self.reserved.get(_digest(key), ("", 0.0))[0] == owner:
            del self.reserved[_digest(key)]

    def _check(self) -> None:
        if self.broken:
            raise UnavailableError("the cache is away")


def _digest(key: CacheKey) -> bytes:
    return key.task.id.name.encode() + key.inputs.SerializeToString(deterministic=True)


class FakeReporter:
    """A control plane that judges every event; it acknowledges at once unless `silent`."""

    def __init__(self) -> None:
        self.silent = False
        self.repeated = 0
        self.dropped: list[str] = []
        self.sent: list[tuple[int, Event]] = []
        self.rows: dict[str, AdminRows] = {}
        self._observers: list[Callable[[WorkflowExecutionIdentifier, int], Awaitable[None]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def send(
        self, execution: WorkflowExecutionIdentifier, events: Sequence[tuple[int, Event]], *, again: bool = False
    ) -> None:
        """Take events."""
        self.sent.extend(events)
        self.repeated += len(events) if again else 0
        rows = self.rows.setdefault(execution.name, AdminRows())
        for number, event in events:
            rows.take(number, event)
        if not self.silent:
            task = asyncio.create_task(self._acknowledge(execution, events[-1][0]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def hurry(self) -> None:
        """Nothing waits here."""

    def drop(self, execution: WorkflowExecutionIdentifier) -> None:
        """Begin a new row, as the control plane does for an execution that it gives away again."""
        self.dropped.append(execution.name)
        self.rows.pop(execution.name, None)

    def on_acknowledged(self, observe: Callable[[WorkflowExecutionIdentifier, int], Awaitable[None]]) -> None:
        """Have a new runner told, and only that."""
        self._observers = [observe]

    async def _acknowledge(self, execution: WorkflowExecutionIdentifier, number: int) -> None:
        for observe in self._observers:
            await observe(execution, number)


class SystemClock:
    """The real time; pauses are a hundred times shorter."""

    def now(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC)

    async def sleep(self, duration: timedelta) -> None:
        """Wait a little."""
        await asyncio.sleep(duration.total_seconds() / 100)


@dataclass
class World:
    """A runner among fakes."""

    path: Path
    body: Callable[[AttemptSpec], Result]
    config: RunnerConfig = field(default_factory=RunnerConfig)

    def __post_init__(self) -> None:
        self.store = MemoryStore()
        self.catalog = FakeCatalog()
        self.reporter = FakeReporter()
        self.control = FakeControl(self.reporter.rows)
        self.executor = FakeExecutor(self.store, self.body)
        self.finished: list[str] = []
        self.done = asyncio.Event()
        self.runner = self._runner()

    async def execute(self, lease: Lease) -> AdminRows:
        """Run one execution to its end."""
        await self.runner.accept(lease)
        return await self.end_of(lease.id.name)

    async def end_of(self, name: str) -> AdminRows:
        """Wait until an execution has ended."""
        async with asyncio.timeout(20):
            while name not in self.finished:
                self.done.clear()
                await self.done.wait()
        self.reporter.rows[name].check_end()
        return self.reporter.rows[name]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition on what the fakes have seen, which set no event."""
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.001)

    async def crash(self) -> None:
        """Let everything but the log, the objects and the control plane vanish, and start anew."""
        await self.runner.stop()
        await self.executor.kill()
        self.store.lose()
        self.executor = FakeExecutor(self.store, self.body)
        self.runner = self._runner()
        await self.runner.start()

    def outputs(self, lease: Lease) -> LiteralMap:
        """Return the outputs of an execution."""
        return self.store.literals(f"{lease.metadata_prefix}/end-node/data/0/outputs.pb")

    def _runner(self) -> Runner:
        ports = (self.store, self.executor, self.catalog, self.reporter, self.control, SystemClock())
        runner = Runner(ExecutionLog(self.path), *ports, self.config)
        runner.on_finished(self._finished)
        return runner

    async def _finished(self, execution: WorkflowExecutionIdentifier) -> None:
        self.finished.append(execution.name)
        self.done.set()
