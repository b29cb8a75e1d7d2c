"""One contract over both logs of executions: a file of an embedded data plane, and resources of a cluster."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flyteform.errors import UnavailableError
from flyteform.objects import open_store
from flyteform.proto.flyteform.v1.link_pb2 import Lease
from flyteform_dataplane.kubernetes.api import connect
from flyteform_dataplane.kubernetes.sharding import SHARDS
from flyteform_dataplane.kubernetes.workflows.definition import NAME, definition
from flyteform_dataplane.kubernetes.workflows.log import Standing, WorkflowLog
from flyteform_dataplane.runner.log import ExecutionLog, LoggedStep, Snapshot, Summary
from support.kubernetes import get, kubectl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

KEY = "flytesnacks/development/f1"
LARGEST = 1000
SUCCEEDED = Summary("Succeeded", succeeded=1, started_at=5.0, stopped_at=9.0)

Log = ExecutionLog | WorkflowLog


class Logs:
    """Opens a log anew, as a successor of a killed operator does."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.folder = folder

    @asynccontextmanager
    async def opened(self, shards: Callable[[], Mapping[int, int]] | None = None) -> AsyncIterator[Log]:
        """Open it, as the holder of shards if these are given."""
        if self.kind == "file":
            log: Log = ExecutionLog(self.folder / "log.db")
            await log.open()
            yield log
            await log.close()
            return
        async with connect(Path(os.environ["KUBECONFIG"])) as api:
            log = WorkflowLog(api, open_store(f"file://{self.folder}/objects"), shards=shards, largest=LARGEST)
            await log.open()
            yield log

    def lease(self, name: str = "f1") -> bytes:
        """Return the lease of an execution."""
        lease = Lease(metadata_prefix=f"file://{self.folder}/objects/metadata/{name}")
        lease.id.project, lease.id.domain, lease.id.name = "flytesnacks", "development", name
        lease.closure.primary.template.id.name = "wine.train"
        return lease.SerializeToString()


@pytest.fixture(scope="module", autouse=True)
def _defined() -> Iterator[None]:
    """Install the definition and the namespace, and remove both afterwards."""
    kubectl("apply", "-f", "-", given=definition())
    kubectl("wait", "--for=condition=Established", f"crd/{NAME}", "--timeout=30s")
    kubectl("create", "namespace", "flytesnacks-development")
    yield
    kubectl("delete", "flyteworkflows", "--all", "--namespace=flytesnacks-development", "--ignore-not-found")
    kubectl("delete", "namespace", "flytesnacks-development")
    kubectl("delete", "crd", NAME)


@pytest.fixture(params=["file", "resource"])
def logs(request: pytest.FixtureRequest, tmp_path: Path) -> Logs:
    """Return a log of either kind, empty."""
    return Logs(request.param, tmp_path)


def step(number: int, size: int = 10) -> LoggedStep:
    """Return a step of that many bytes, with two events."""
    return LoggedStep(number, 2 * number, bytes([number % 256]) * size)


async def test_steps_are_there_after_a_crash(logs: Logs) -> None:
    """Lease, time and steps come back as they were, in order."""
    async with logs.opened() as log:
        await log.accept(KEY, logs.lease(), 1000.25)
        for number in range(1, 6):
            await log.append(KEY, step(number))
    async with logs.opened() as log:
        (found,) = await log.unfinished()
        assert (found.key, found.lease, found.accepted_at) == (KEY, logs.lease(), 1000.25)
        assert list(found.steps) == [step(number) for number in range(1, 6)]
        assert found.snapshot is None
        await log.append(KEY, step(6))
        (found,) = await log.unfinished()
        assert len(found.steps) == 6
        await log.remove(KEY)


async def test_a_long_log_keeps_every_step(logs: Logs) -> None:
    """However long it gets, and across restarts, no step is lost."""
    numbers = range(1, 40)
    async with logs.opened() as log:
        await log.accept(KEY, logs.lease(), 1.0)
        for number in numbers[:20]:
            await log.append(KEY, step(number, size=90))
    async with logs.opened() as log:
        await log.unfinished()
        for number in numbers[20:]:
            await log.append(KEY, step(number, size=90))
        (found,) = await log.unfinished()
        assert list(found.steps) == [step(number, size=90) for number in numbers]
        await log.remove(KEY)


async def test_a_snapshot_shortens_the_log(logs: Logs) -> None:
    """Steps that a snapshot holds and the control plane knows need not be kept; the others are."""
    async with logs.opened() as log:
        await log.accept(KEY, logs.lease(), 1.0)
        for number in range(1, 5):
            await log.append(KEY, step(number))
        log.acknowledge(KEY, 6)
        await log.append(KEY, step(5), Snapshot(5, 10, b"state"))
        await log.append(KEY, step(6))
    async with logs.opened() as log:
        (found,) = await log.unfinished()
        assert found.snapshot == Snapshot(5, 10, b"state")
        assert found.acknowledged == 6
        # Events 7 to 10 are not acknowledged: their steps are what they are told by again.
        assert {4, 5, 6} <= {each.number for each in found.steps}
        await log.remove(KEY)


async def test_finished_executions_are_remembered(logs: Logs) -> None:
    """Who is done is not begun again by a lease that comes late; a removed one is."""
    async with logs.opened() as log:
        assert not await log.finished(KEY)
        await log.accept(KEY, logs.lease(), 1.0)
        await log.append(KEY, step(1))
        await log.finish(KEY)
        assert await log.finished(KEY)
        assert await log.unfinished() == []
        await log.remove(KEY)
        assert not await log.finished(KEY)


async def test_accepting_again_begins_anew(logs: Logs) -> None:
    """A former life of an execution, revoked since, leaves nothing."""
    async with logs.opened() as log:
        await log.accept(KEY, logs.lease(), 1.0)
        await log.append(KEY, step(1))
        await log.accept(KEY, logs.lease(), 2.0)
        (found,) = await log.unfinished()
        assert (list(found.steps), found.accepted_at) == ([], 2.0)
        await log.remove(KEY)


async def test_one_execution_is_loaded_alone(logs: Logs) -> None:
    """What has to go on is found by its name; what is finished, removed or was never there is not."""
    async with logs.opened() as log:
        assert await log.load(KEY) is None
        for name in ("f1", "f2"):
            await log.accept(f"flytesnacks/development/{name}", logs.lease(name), 1.0)
        await log.append(KEY, step(1))
        found = await log.load(KEY)
        assert found is not None
        assert (found.key, found.lease, list(found.steps)) == (KEY, logs.lease(), [step(1)])
        await log.finish(KEY)
        assert await log.load(KEY) is None
        for name in ("f1", "f2"):
            await log.remove(f"flytesnacks/development/{name}")
        assert await log.load("flytesnacks/development/f2") is None


async def test_a_summary_is_there_for_people(tmp_path: Path) -> None:
    """What kubectl prints of an execution is written with its steps."""
    logs = Logs("resource", tmp_path)
    async with logs.opened() as log:
        await log.accept(KEY, logs.lease(), 1.0)
        await log.append(KEY, step(1), summary=Summary("Running", running=2, started_at=5.0))
        await log.append(KEY, step(2), summary=Summary("Failed", "too bad", 0, 1, 1, 0, 5.0, 9.0))
        printed = kubectl("get", "flyteworkflows", "--namespace=flytesnacks-development", "--output=wide")
        header, row = (line.split() for line in printed.splitlines())
        assert header == ["NAME", "WORKFLOW", "PHASE", "RUNNING", "SUCCEEDED", "FAILED", "AGE", "MESSAGE"]
        assert row[:6] == ["f1", "wine-train", "Failed", "0", "1", "1"]
        assert row[7:] == ["too", "bad"]
        status = get("flyteworkflow", "f1", "flytesnacks-development")["status"]
        assert (status["startedAt"], status["stoppedAt"]) == ("1970-01-01T00:00:05+00:00", "1970-01-01T00:00:09+00:00")
        await log.remove(KEY)


async def test_who_took_over_last_is_the_one_who_writes(tmp_path: Path) -> None:
    """A holder of an earlier epoch neither writes a step, not even the next one, nor takes the execution back."""
    logs = Logs("resource", tmp_path)
    shards = [dict.fromkeys(range(SHARDS), epoch) for epoch in (1, 2)]
    async with logs.opened(lambda: shards[0]) as old, logs.opened(lambda: shards[1]) as new:
        await old.accept(KEY, logs.lease(), 1.0)
        await old.append(KEY, step(1))
        assert await new.load(KEY) is not None
        with pytest.raises(UnavailableError, match="does not follow the log"):
            await old.append(KEY, step(2))
        assert await old.load(KEY) is None
        await new.append(KEY, step(2))
        shards[0].clear()
        with pytest.raises(UnavailableError, match="another operator"):
            await old.append(KEY, step(3))
        assert await old.unfinished() == []
        (found,) = await new.unfinished()
        assert [each.number for each in found.steps] == [1, 2]
        await new.remove(KEY)


async def test_of_two_writers_only_one_goes_on(tmp_path: Path) -> None:
    """An operator that was taken for dead cannot write over what its successor wrote."""
    logs = Logs("resource", tmp_path)
    async with logs.opened() as old, logs.opened() as new:
        await old.accept(KEY, logs.lease(), 1.0)
        await old.append(KEY, step(1))
        await new.unfinished()
        await new.append(KEY, step(2))
        with pytest.raises(UnavailableError, match="does not follow the log"):
            await old.append(KEY, step(2))
        with pytest.raises(UnavailableError, match="does not follow the log"):
            await old.append(KEY, step(2, size=2 * LARGEST))
        (found,) = await new.unfinished()
        assert [each.number for each in found.steps] == [1, 2]
        await new.remove(KEY)


async def test_resources_stay_small(tmp_path: Path) -> None:
    """Whatever is written, the resource does not outgrow what Kubernetes takes."""
    logs = Logs("resource", tmp_path)
    async with logs.opened() as log:
        await log.accept(KEY, logs.lease(), 1.0)
        for number in range(1, 30):
            await log.append(KEY, step(number, size=300))
            resource = kubectl("get", "flyteworkflow", "f1", "--namespace=flytesnacks-development", "--output=json")
            assert len(resource) < 8 * LARGEST
        await log.remove(KEY)


async def test_nothing_of_an_execution_is_left_in_storage_but_the_closure_that_many_share(tmp_path: Path) -> None:
    """Short, long, taken over, begun anew: with its end the objects of each go, and its resource keeps its status."""
    logs, objects, names = Logs("resource", tmp_path), f"file://{tmp_path}/objects", ("short", "long", "taken", "anew")
    short, long, taken, anew = keys = [f"flytesnacks/development/{name}" for name in names]
    async with logs.opened() as log, logs.opened() as other:
        for key, name in zip(keys, names, strict=True):
            await log.accept(key, logs.lease(name), 1.0)
            await log.append(key, step(1), summary=SUCCEEDED)
        for number in range(2, 10):
            await log.append(long, step(number, size=300), Snapshot(number, 2 * number, b"state"))
            await log.append(anew, step(number, size=300))
        await log.accept(anew, logs.lease("anew"), 2.0)
        await log.append(anew, step(1), summary=SUCCEEDED)
        await other.load(taken)
        await other.finish(taken)
        await asyncio.gather(*(log.finish(key) for key in (short, long, anew)))
        assert await other.unfinished() == []
        assert isinstance(log, WorkflowLog)
        late = logs.lease("short")
        assert await log.begin(Lease.FromString(late), late, 3.0) is Standing.FINISHED
        (closure,) = [found.uri async for found in open_store(objects).list(objects)]
        for name in names:
            there = get("flyteworkflow", name, "flytesnacks-development")
            assert (there["status"]["phase"], there["workflowClosureReference"]) == ("Succeeded", closure)


async def test_a_first_life_is_told_from_later_ones(tmp_path: Path) -> None:
    """A successor knows whether what lies in an execution's store may be anybody's but this life's."""
    logs, store = Logs("resource", tmp_path), open_store(f"file://{tmp_path}/objects")
    lease = Lease.FromString(logs.lease())
    async with logs.opened() as log:
        assert isinstance(log, WorkflowLog)
        for standing, first in ((Standing.BEGUN, True), (Standing.BEGUN_AGAIN, False)):
            assert await log.begin(lease, logs.lease(), 1.0) is standing
            found = await log.load(KEY)
            assert found is not None
            assert (found.first, found.new) == (first, False)
            assert await log.begin(lease, logs.lease(), 2.0) is Standing.HELD
            await store.put(f"{lease.metadata_prefix}/n0/data/inputs.pb", b"")
            await log.remove(KEY)


async def test_leases_of_older_operators_are_found(tmp_path: Path) -> None:
    """An operator from before leases had a place of their own may have begun what this one goes on with and ends."""
    logs, store = Logs("resource", tmp_path), open_store(f"file://{tmp_path}/objects")
    place = f"{store.prefix}/metadata/log/{KEY}/lease.pb"
    async with logs.opened() as old, logs.opened() as log:
        await old.accept(KEY, logs.lease(), 1.0)
        await store.put(place, logs.lease())
        await store.delete(f"{store.prefix}/metadata/leases/{KEY}.pb")
        patch = json.dumps({"leaseReference": place})
        kubectl("patch", "flyteworkflow", "f1", "--namespace=flytesnacks-development", "--type=merge", "--patch", patch)
        found = await log.load(KEY)
        assert found is not None
        assert found.lease == logs.lease()
        await log.append(KEY, step(1, size=2 * LARGEST))
        await log.finish(KEY)
        left = [found.uri async for found in store.list(f"{store.prefix}/metadata/")]
        assert [uri for uri in left if "/metadata/closures/" not in uri] == []
        await log.remove(KEY)


@pytest.mark.parametrize("steps", [0, 1, 2])
async def test_what_others_write_on_a_resource_stays(tmp_path: Path, steps: int) -> None:
    """A label that somebody sets before or after the first step is there at the end, and so is every step."""
    logs = Logs("resource", tmp_path)
    async with logs.opened() as log:
        await log.accept(KEY, logs.lease(), 1.0)
        for number in range(1, steps + 1):
            await log.append(KEY, step(number))
        kubectl("label", "flyteworkflow", "f1", "--namespace=flytesnacks-development", "team=wine")
        await log.append(KEY, step(steps + 1), summary=SUCCEEDED)
        await log.finish(KEY)
        there = get("flyteworkflow", "f1", "flytesnacks-development")
        labels, status = there["metadata"]["labels"], there["status"]
        assert (labels["team"], labels["termination-status"]) == ("wine", "terminated")
        assert "finalizers" not in there["metadata"]
        assert (status["phase"], len(status["log"]["steps"])) == ("Succeeded", steps + 1)
        await log.remove(KEY)


async def test_many_executions_at_once(logs: Logs) -> None:
    """Executions do not wait for each other, and all are found again."""
    names = [f"many{number}" for number in range(20)]
    async with logs.opened() as log:
        keys = [f"flytesnacks/development/{name}" for name in names]
        await asyncio.gather(*(log.accept(key, logs.lease(name), 1.0) for key, name in zip(keys, names, strict=True)))
        await asyncio.gather(*(log.append(key, step(1)) for key in keys))
        assert sorted(found.key for found in await log.unfinished()) == sorted(keys)
        await asyncio.gather(*(log.remove(key) for key in keys))
        assert await log.unfinished() == []
