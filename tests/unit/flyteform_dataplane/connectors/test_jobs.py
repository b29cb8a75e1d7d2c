"""Attempts as jobs of a connector: created once, watched, ended in the engine's words, deleted when unwanted."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import grpc
import pytest
from flyteidl.admin import agent_pb2 as messages
from flyteidl.core.errors_pb2 import ContainerError, ErrorDocument
from flyteidl.core.execution_pb2 import ExecutionError, TaskExecution, TaskLog
from flyteidl.core.tasks_pb2 import TaskTemplate

from flyteform.errors import FlyteformError, InvalidInputError, UnavailableError
from flyteform_dataplane.attempt_logs import log_path
from flyteform_dataplane.connectors.directory import Directory
from flyteform_dataplane.connectors.endpoints import Endpoint
from flyteform_dataplane.connectors.jobs import JobExecutor
from flyteform_dataplane.connectors.records import Record, Records
from flyteform_dataplane.ports import AttemptPhase, AttemptUpdate, JobSpec
from support.attempts import until
from support.closures import literals
from support.connectors import FakeConnector
from support.world import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SUCCEEDED, FAILED, RUNNING = TaskExecution.SUCCEEDED, TaskExecution.FAILED, TaskExecution.RUNNING


class Office:
    """An executor of jobs, a connector and a store."""

    def __init__(self, folder: Path, connector: FakeConnector) -> None:
        self.folder = folder
        self.connector = connector
        self.store = MemoryStore()
        self.patience = 20.0
        self.updates: dict[str, list[AttemptUpdate]] = {}

    async def open(self) -> None:
        """Open the executor, as after a crash if there was one before."""
        endpoint = Endpoint(self.connector.address, poll=0.05, patience=self.patience, timeout=5)
        self.directory = Directory((endpoint,))
        self.executor = JobExecutor(self.directory, self.store, self.folder, lambda: datetime.now(UTC))
        await self.executor.open()

    async def close(self) -> None:
        """Close it; jobs go on."""
        await self.executor.close()
        await self.directory.close()

    async def start(self, name: str = "p/d/e/n/0", task_type: str = "job") -> None:
        """Start an attempt."""
        spec = JobSpec(
            name,
            TaskTemplate(type=task_type),
            literals(x=1),
            f"mem://store/{name}",
            messages.TaskExecutionMetadata(namespace="p-d"),
        )
        await self.executor.start(spec, self.updates.setdefault(name, []).append)

    async def end(self, name: str = "p/d/e/n/0") -> AttemptUpdate:
        """Wait for the end of an attempt."""
        seen = self.updates[name]
        await until(lambda: bool(seen) and seen[-1].phase is not AttemptPhase.RUNNING)
        return seen[-1]

    def error(self, name: str = "p/d/e/n/0") -> ContainerError:
        """Return the error that was left."""
        return ErrorDocument.FromString(self.store.objects[f"mem://store/{name}/error.pb"]).error

    def log(self, name: str = "p/d/e/n/0") -> str:
        """Return the log."""
        return log_path(self.folder, name).read_text()

    @property
    def records(self) -> list[str]:
        """The jobs that are remembered."""
        return [uri for uri in self.store.objects if "/metadata/connectors/" in uri]


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """Give one."""
    connector = FakeConnector()
    await connector.start()
    made = Office(tmp_path, connector)
    await made.open()
    yield made
    await made.close()
    await connector.stop()


async def test_outputs_logs_and_links_of_a_job(office: Office) -> None:
    """Its outputs are where a process leaves them, its lines in the log, its links beside the log's."""
    await office.start()
    await until(lambda: len(office.connector.asked) > 1)
    link = TaskLog(name="Page", uri="https://example.com/1")
    office.connector.resource = messages.Resource(
        phase=SUCCEEDED, outputs=literals(o=7), log_links=[link], message="well done"
    )
    ended = await office.end()
    assert (ended.phase, ended.exit_code) == (AttemptPhase.EXITED, 0)
    assert office.store.literals("mem://store/p/d/e/n/0/outputs.pb") == literals(o=7)
    assert [line.split("\t")[0] for line in ended.log_uri.splitlines()] == ["Logs", "Page"]
    for text in ("RUNNING", "SUCCEEDED: well done", "line one\nline two"):
        assert text in office.log()
    assert office.records == []
    (request,) = office.connector.created
    assert (request.inputs, request.task_execution_metadata.namespace) == (literals(x=1), "p-d")
    assert {asked.task_category.name for asked in office.connector.asked} == {"job"}


@pytest.mark.parametrize(
    ("resource", "kind", "origin"),
    [
        (messages.Resource(phase=FAILED, message="bad"), ContainerError.NON_RECOVERABLE, ExecutionError.USER),
        (
            messages.Resource(phase=TaskExecution.RETRYABLE_FAILED, message="bad"),
            ContainerError.RECOVERABLE,
            ExecutionError.USER,
        ),
        (
            messages.Resource(
                phase=FAILED,
                message="bad",
                agent_error=messages.AgentError(
                    code="Quota", kind=messages.AgentError.RECOVERABLE, origin=ExecutionError.SYSTEM
                ),
            ),
            ContainerError.RECOVERABLE,
            ExecutionError.SYSTEM,
        ),
        (messages.Resource(phase=TaskExecution.ABORTED, message="bad"), ContainerError.NON_RECOVERABLE, 1),
        (messages.Resource(state=messages.PERMANENT_FAILURE, message="bad"), ContainerError.NON_RECOVERABLE, 1),
    ],
    ids=["failed", "retryable", "the connector's error", "aborted", "an old connector"],
)
async def test_failures_say_whether_to_try_again(
    office: Office, resource: messages.Resource, kind: int, origin: int
) -> None:
    """The phase decides, or the connector's own error."""
    office.connector.resource = resource
    await office.start()
    assert (await office.end()).exit_code == 1
    error = office.error()
    assert (error.kind, error.origin) == (kind, origin)
    assert "bad" in error.message
    assert error.code == (resource.agent_error.code or "TaskFailedWithError")


async def test_a_crash_creates_no_second_job(office: Office) -> None:
    """After a new start the same job is asked about."""
    await office.start()
    await until(lambda: len(office.connector.asked) > 1)
    await office.close()
    await office.open()
    office.connector.resource = messages.Resource(phase=SUCCEEDED, outputs=literals(o=7))
    await office.start()
    assert (await office.end()).exit_code == 0
    assert len(office.connector.created) == 1
    assert {asked.resource_meta for asked in office.connector.asked} == {b"job-0"}


async def test_a_job_that_was_never_claimed_again_is_deleted_by_its_stop(office: Office) -> None:
    """An abort right after a crash needs no watching of the job."""
    await office.start()
    await until(lambda: bool(office.records))
    await office.close()
    await office.open()
    await office.executor.stop("p/d/e/n/0")
    assert office.connector.deleted == [b"job-0"]
    assert office.records == []


async def test_an_executions_jobs_are_forgotten_without_a_word(office: Office) -> None:
    """All of them are deleted, nobody is told, and those of others go on."""
    for name in ("p/d/e/n/0", "p/d/e/m/0", "p/d/ee/n/0"):
        await office.start(name)
    await until(lambda: len(office.records) == 3)
    await office.executor.forget("p/d/e")
    assert len(office.connector.deleted) == 2
    assert len(office.records) == 1
    ends = [update for seen in office.updates.values() for update in seen if update.phase is not AttemptPhase.RUNNING]
    assert ends == []


async def test_a_connector_that_stays_away_loses_the_attempt_and_then_its_job(office: Office) -> None:
    """Its silence is the system's failure; when it is back the job is deleted, after a restart too."""
    office.patience = 0.3
    await office.close()
    await office.open()
    await office.start()
    await until(lambda: bool(office.connector.asked))  # so that what the job is known by has arrived
    address = office.connector.address
    await office.connector.stop()
    assert (await office.end()).phase is AttemptPhase.LOST
    await office.close()
    await office.connector.start(address)
    await office.open()
    await until(lambda: office.connector.deleted == [b"job-0"])
    await until(lambda: office.records == [])


async def test_a_connector_that_refuses_a_job_says_so(office: Office) -> None:
    """What it refuses for good is the user's final error; what its own code raised may be tried again."""
    for number, (code, kind) in enumerate(
        (
            (grpc.StatusCode.INVALID_ARGUMENT, ContainerError.NON_RECOVERABLE),
            (grpc.StatusCode.INTERNAL, ContainerError.RECOVERABLE),
        )
    ):
        office.connector.refusal = code
        name = f"p/d/e/n/{number}"
        await office.start(name)
        assert (await office.end(name)).exit_code == 1
        assert office.error(name).kind == kind
        assert f"{code.name}: no luck" in office.error(name).message
    assert office.records == []


async def test_a_stumble_while_polled_is_asked_again(office: Office) -> None:
    """An exception in a connector's `get` is no failure of the job."""
    await office.start()
    await until(lambda: bool(office.connector.asked))
    office.connector.refusal = grpc.StatusCode.INTERNAL
    seen = len(office.connector.asked)
    await until(lambda: len(office.connector.asked) > seen + 1)
    office.connector.refusal = None
    office.connector.resource = messages.Resource(phase=SUCCEEDED)
    assert (await office.end()).exit_code == 0


async def test_a_synchronous_task_may_answer_in_parts(office: Office) -> None:
    """Header and outputs come in messages of their own; there is no job to remember."""
    header = messages.ExecuteTaskSyncResponseHeader(resource=messages.Resource(phase=SUCCEEDED))
    office.connector.synchronous = (
        messages.ExecuteTaskSyncResponse(header=header),
        messages.ExecuteTaskSyncResponse(outputs=literals(a=1)),
        messages.ExecuteTaskSyncResponse(outputs=literals(b=2)),
    )
    await office.start(task_type="now")
    assert (await office.end()).exit_code == 0
    assert office.store.literals("mem://store/p/d/e/n/0/outputs.pb") == literals(a=1, b=2)
    assert office.records == []


async def test_stopping_waits_for_no_answer(office: Office) -> None:
    """A synchronous call is given up, a job whose connector is away is deleted later."""
    await office.start(task_type="now")
    office.connector.refusal = grpc.StatusCode.UNAVAILABLE
    await until(lambda: bool(office.updates["p/d/e/n/0"]))
    await office.executor.stop("p/d/e/n/0")
    assert office.updates["p/d/e/n/0"][-1].reason == "it was stopped"


async def test_task_types_are_asked_for_when_they_are_unknown(office: Office) -> None:
    """Listed versions count; what is known is not asked for again; a service that is away is no refusal."""
    directory = office.directory
    assert await directory.claims("job", 1)
    assert await directory.claims("now", 5)
    assert not await directory.claims("job", 2)
    asked = office.connector.listed
    assert not await directory.claims("other", 0)
    assert office.connector.listed == asked
    away = Directory((Endpoint("127.0.0.1:1", timeout=1),))
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1 cannot be reached"):
        await away.claims("other", 0)
    await away.close()
    routed = Directory((Endpoint(office.connector.address, task_types=frozenset({"python-task"})),))
    assert routed.routes("python-task")
    connector, is_sync = await routed.find("python-task", 3)
    assert (connector.endpoint.address, is_sync) == (office.connector.address, False)
    await routed.close()


async def test_many_jobs_at_once(office: Office) -> None:
    """Two hundred jobs are created once each, and all end."""
    office.connector.resource = messages.Resource(phase=SUCCEEDED, outputs=literals(o=7))
    names = [f"p/d/e/n/{number}/0" for number in range(200)]
    await asyncio.gather(*map(office.start, names))
    assert {(await office.end(name)).exit_code for name in names} == {0}
    assert len(office.connector.created) == 200
    assert office.records == []


async def test_what_a_job_waits_for_is_told(office: Office) -> None:
    """In the connector's words and Flyte's phases, each once; one that says nothing more waits without a word."""
    waiting = TaskExecution.WAITING_FOR_RESOURCES
    office.connector.resource = messages.Resource(phase=waiting, message="no warehouse is free")
    await office.start()
    await until(lambda: len(office.connector.asked) > 3)
    office.connector.resource = messages.Resource(phase=TaskExecution.INITIALIZING)
    asked = len(office.connector.asked)
    await until(lambda: len(office.connector.asked) > asked + 1)
    office.connector.resource = messages.Resource(phase=SUCCEEDED)
    await until(lambda: office.updates["p/d/e/n/0"][-1].phase is AttemptPhase.EXITED)
    told = [(update.phase, update.reason) for update in office.updates["p/d/e/n/0"]]
    assert told == [(AttemptPhase.WAITING_FOR_RESOURCES, "no warehouse is free"), (AttemptPhase.EXITED, "")]


class Away(MemoryStore):
    """A store that is away while it is told so."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.error: FlyteformError = UnavailableError("the store is away")
        self.tries = 0

    async def get(self, uri: str, *, limit: int | None = None) -> bytes:
        """Return the content, if there is anybody."""
        self._check()
        return await super().get(uri, limit=limit)

    async def put(self, uri: str, data: bytes, *, if_absent: bool = False, durable: bool = True) -> None:
        """Store it likewise."""
        self._check()
        await super().put(uri, data, if_absent=if_absent, durable=durable)

    def _check(self) -> None:
        if self.away:
            self.tries += 1
            raise self.error


@pytest.fixture
async def away(tmp_path: Path) -> AsyncIterator[Office]:
    """Give an office whose store goes away."""
    connector = FakeConnector()
    await connector.start()
    made = Office(tmp_path, connector)
    made.store = Away()
    await made.open()
    yield made
    await made.close()
    await connector.stop()


async def test_a_result_waits_for_its_store(away: Office) -> None:
    """What a job has worked out is kept when the store is back, and nobody runs it again."""
    store = away.store
    assert isinstance(store, Away)
    await away.start()
    await until(lambda: len(away.connector.asked) > 1)
    store.away = True
    away.connector.resource = messages.Resource(phase=SUCCEEDED, outputs=literals(o=7))
    await until(lambda: store.tries > 2)
    store.away = False
    assert (await away.end()).exit_code == 0
    assert store.literals("mem://store/p/d/e/n/0/outputs.pb") == literals(o=7)
    assert (len(away.connector.created), away.records) == (1, [])


async def test_a_job_is_known_even_if_its_store_was_away_when_it_was_made(away: Office) -> None:
    """Its record is written when the store is back: it is watched and deleted as any other."""
    store = away.store
    assert isinstance(store, Away)
    away.connector.answering.clear()
    await away.start()
    await until(lambda: away.connector.created)
    store.away = True
    away.connector.answering.set()
    await until(lambda: store.tries > 1)
    store.away = False
    await until(lambda: away.connector.asked)
    await away.executor.stop("p/d/e/n/0")
    assert away.connector.deleted == [b"job-0"]


@pytest.mark.parametrize("known", [True, False])
async def test_a_stop_deletes_the_job_when_the_store_is_back(away: Office, known: bool) -> None:
    """Also of one that a former life has created: left alone, it would run on beside whatever comes next."""
    store = away.store
    assert isinstance(store, Away)
    await away.start()
    await until(lambda: away.connector.asked)
    if not known:
        await away.executor.release("p/d/e")
    store.away = True
    stopping = asyncio.create_task(away.executor.stop("p/d/e/n/0"))
    await until(lambda: store.tries > 1)
    assert not stopping.done()
    store.away = False
    async with asyncio.timeout(60):
        await stopping
    assert (away.connector.deleted, away.records) == ([b"job-0"], [])


async def test_a_store_that_refuses_for_good_ends_the_attempt(away: Office) -> None:
    """Nobody waits for ever: the attempt is lost, and a stop of it returns."""
    store = away.store
    assert isinstance(store, Away)
    await away.start()
    await until(lambda: away.connector.asked)
    store.away, store.error = True, InvalidInputError("no access")
    async with asyncio.timeout(60):
        await away.executor.stop("p/d/e/n/0")
    assert away.updates["p/d/e/n/0"][-1].phase is AttemptPhase.LOST
    store.away = False


class Busy(MemoryStore):
    """A store that notes how many of its objects are read at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.reading, self.most = 0, 0

    async def get(self, uri: str, *, limit: int | None = None) -> bytes:
        """Return the content a little later."""
        self.reading += 1
        self.most = max(self.most, self.reading)
        await asyncio.sleep(0)
        self.reading -= 1
        return await super().get(uri, limit=limit)


async def test_a_beginning_with_many_jobs_reads_several_at_a_time(tmp_path: Path) -> None:
    """Some, not all at once; those that have ended meanwhile are forgotten, the others kept."""
    connector = FakeConnector()
    await connector.start()
    office = Office(tmp_path, connector)
    office.store = store = Busy()
    records = Records(store)
    for number in range(100):
        name = f"p/d/e/n/{number}"
        await records.save(Record(name, connector.address, "job", 0, b"job", f"mem://store/{name}"))
        if number % 2:
            await store.put(f"mem://store/{name}/outputs.pb", b"")
    await office.open()
    assert len(office.records) == 50
    assert 1 < store.most <= 32
    await office.close()
    await connector.stop()
