"""Jobs of connectors outlive the data plane that has created them: the next one asks about them, or deletes them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from flyteidl.admin import agent_pb2 as messages
from flyteidl.core.execution_pb2 import TaskExecution
from flyteidl.core.tasks_pb2 import TaskTemplate

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

NAME, EXECUTION = "p/d/e/n/0", "p/d/e"
DONE = messages.Resource(phase=TaskExecution.SUCCEEDED, outputs=literals(o=7))


class Replica:
    """One of several that share a store and a connector."""

    def __init__(self, folder: Path, store: MemoryStore, connector: FakeConnector, timeout: float) -> None:
        endpoint = Endpoint(connector.address, poll=0.05, patience=20.0, timeout=timeout)
        self.directory = Directory((endpoint,))
        self.executor = JobExecutor(self.directory, store, folder, lambda: datetime.now(UTC), sweep_pause=0.1)
        self.updates: list[AttemptUpdate] = []

    async def start(self) -> None:
        """Start the attempt, or go on with it."""
        metadata = messages.TaskExecutionMetadata(namespace="p-d")
        spec = JobSpec(NAME, TaskTemplate(type="job"), literals(x=1), f"mem://store/{NAME}", metadata)
        await self.executor.start(spec, self.updates.append)

    @property
    def ends(self) -> list[AttemptUpdate]:
        """What it was told of the end."""
        return [update for update in self.updates if update.phase is not AttemptPhase.RUNNING]

    async def close(self) -> None:
        """End it, as a process ends."""
        await self.executor.close()
        await self.directory.close()


class Replicas:
    """Two replicas, which are open from the beginning: what each does later the other has to find."""

    def __init__(self, folder: Path, connector: FakeConnector) -> None:
        self.connector = connector
        self.store = MemoryStore()
        self._folder = folder
        self.made: list[Replica] = []

    async def open(self, call_seconds: float = 20.0) -> Replica:
        """Start another one."""
        self.made.append(Replica(self._folder / str(len(self.made)), self.store, self.connector, call_seconds))
        await self.made[-1].executor.open()
        return self.made[-1]

    @property
    def records(self) -> list[str]:
        """The jobs that are on record."""
        return [uri for uri in self.store.objects if "/metadata/connectors/" in uri]


@pytest.fixture
async def replicas(tmp_path: Path) -> AsyncIterator[Replicas]:
    """Give what starts them."""
    connector = FakeConnector()
    await connector.start()
    made = Replicas(tmp_path, connector)
    yield made
    connector.answering.set()
    for replica in made.made:
        await replica.close()
    await connector.stop()


async def test_a_job_is_handed_over(replicas: Replicas) -> None:
    """Its first replica is told nothing more, the second sees its end, and it was created once."""
    first, second = await replicas.open(), await replicas.open()
    await first.start()
    await until(lambda: bool(first.updates))
    await first.executor.release(EXECUTION)
    await second.start()
    await until(lambda: bool(second.updates))
    replicas.connector.resource = DONE
    await until(lambda: bool(second.ends))
    assert second.ends[0].exit_code == 0
    assert first.ends == []
    assert (len(replicas.connector.created), replicas.connector.deleted, replicas.records) == (1, [], [])


async def test_a_job_whose_creation_is_under_way_is_handed_over(replicas: Replicas) -> None:
    """Whoever gives it up waits for the connector's answer, so that its successor finds it."""
    first, second = await replicas.open(), await replicas.open()
    replicas.connector.answering.clear()
    await first.start()
    await until(lambda: len(replicas.connector.created) == 1)
    releasing = asyncio.create_task(first.executor.release(EXECUTION))
    await second.start()
    replicas.connector.answering.set()
    await releasing
    replicas.connector.resource = DONE
    await until(lambda: bool(second.ends))
    assert second.ends[0].exit_code == 0
    assert {asked.resource_meta for asked in replicas.connector.asked} == {b"job-0"}
    assert len(replicas.connector.created) == 1


async def test_a_job_of_one_that_died_goes_on(replicas: Replicas) -> None:
    """Nothing is said when a process is killed; what is on record is enough."""
    first, second = await replicas.open(), await replicas.open()
    await first.start()
    await until(lambda: bool(first.updates))
    await first.close()
    replicas.connector.resource = DONE
    await second.start()
    await until(lambda: bool(second.ends))
    assert len(replicas.connector.created) == 1


async def test_an_answer_that_nobody_hears_any_more_is_not_waited_for_for_ever(replicas: Replicas) -> None:
    """One that died while it asked for a job has none on record: after a call's time it is created."""
    asked = Record(NAME, replicas.connector.address, "job", 0, b"", f"mem://store/{NAME}", created=False)
    await Records(replicas.store).save(asked)
    second = await replicas.open(call_seconds=0.3)
    replicas.connector.resource = DONE
    await second.start()
    await until(lambda: bool(second.ends))
    assert second.ends[0].exit_code == 0
    assert (len(replicas.connector.created), replicas.records) == (1, [])


@pytest.mark.parametrize("answers", [True, False], ids=["created", "being created"])
async def test_an_abort_elsewhere_deletes_the_job(replicas: Replicas, answers: bool) -> None:
    """Whoever has the execution now ends its job, also one of which nobody has heard yet."""
    first, second = await replicas.open(), await replicas.open()
    if not answers:
        replicas.connector.answering.clear()
    await first.start()
    await until(lambda: len(replicas.connector.created) == 1)
    releasing = asyncio.create_task(first.executor.release(EXECUTION))
    stopping = asyncio.create_task(second.executor.stop(NAME))
    replicas.connector.answering.set()
    await asyncio.gather(releasing, stopping)
    assert (replicas.connector.deleted, replicas.records) == ([b"job-0"], [])


async def test_a_revocation_elsewhere_deletes_the_jobs(replicas: Replicas) -> None:
    """All of the execution's, which the one that is told has never seen."""
    first, second = await replicas.open(), await replicas.open()
    await first.start()
    await until(lambda: bool(first.updates))
    await first.close()
    await second.executor.forget(EXECUTION)
    assert (replicas.connector.deleted, replicas.records) == ([b"job-0"], [])


async def test_what_one_could_not_delete_another_one_does(replicas: Replicas) -> None:
    """The connector was away when the attempt was stopped, and then its replica was."""
    first, second = await replicas.open(), await replicas.open()
    await first.start()
    await until(lambda: bool(first.updates))
    address = replicas.connector.address
    await replicas.connector.stop()
    await first.executor.stop(NAME)
    await first.close()
    await replicas.connector.start(address)
    await until(lambda: replicas.connector.deleted == [b"job-0"])
    await until(lambda: replicas.records == [])
    assert second.updates == []
