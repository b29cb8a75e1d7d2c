"""An apply that is killed at any single write, of the platform or of the state, is gone on with and finds all again."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flyteform.provision import ledger
from flyteform.provision.apply import Conduct, Status
from flyteform.provision.errors import StateLostError
from flyteform.provision.provisioner import apply_plan, make_plan
from flyteform.provision.state_file import FileBackend, FileStateStore
from flyteform.provision.state_memory import MemoryBackend, MemoryStateStore
from flyteform.provision.state_store import DocumentStore, this_process
from support.control_plane import control_plane
from support.crashes import Crash, DyingClient, DyingStore, Fuse
from support.declarations import PIPELINES, TASKS, write_project

if TYPE_CHECKING:
    from flyteform.client.admin import AdminClient
    from flyteform.provision.model import Plan
    from flyteform.provision.state import State

# Each step by itself: with others beside it, what is written when differs from run to run.
ONE_BY_ONE = Conduct(parallelism=1)
WEEKLY = 'weekly = LaunchPlan(everyday, name="weekly", schedule=CronSchedule(schedule="0 5 * * 0"))\n'
EDITED_TASKS = TASKS.replace("retries=3", "retries=4")
TESTS = Path(__file__).parents[3]
KILLED = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from flyteform.client.admin import connect
from flyteform.client.config import ClientConfig
from flyteform.provision import ledger
from flyteform.provision.apply import Conduct
from flyteform.provision.provisioner import apply_plan, make_plan
from flyteform.provision.state_file import FileBackend, FileStateStore
from support.crashes import DyingClient, DyingStore, Fuse

async def main(endpoint, path, state, writes):
    async with connect(ClientConfig(endpoint, insecure=True)) as client:
        plan = await make_plan(Path(path), client, FileStateStore(Path(state)))
        fuse = Fuse(int(writes), after=True, kill=True)
        store = DyingStore(FileBackend(Path(state)), fuse)
        await apply_plan(plan, DyingClient(client, fuse), store, Conduct(parallelism=1))

ledger.REST = 0
asyncio.run(main(*sys.argv[2:]))
"""


@pytest.fixture(autouse=True)
def _no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save the state after every step, however long that takes: so that the writes are the same each time."""
    monkeypatch.setattr(ledger, "REST", 0)


def edited(project: str) -> dict[str, str]:
    """Return the texts of a declaration in which a task is changed, a launch plan is gone and another is new."""
    pipelines = PIPELINES[: PIPELINES.index("nightly =")] + WEEKLY
    return {"tasks": EDITED_TASKS, "pipelines": pipelines.replace('"acme"', f'"{project}"')}


def first(project: str) -> dict[str, str]:
    """Return the texts of the declaration before that."""
    return {"pipelines": PIPELINES.replace('"acme"', f'"{project}"')}


async def versions(client: AdminClient, project: str) -> Counter[str]:
    """Return how many versions of each name are registered, with the active launch plans."""
    found: Counter[str] = Counter()
    async for task in client.list_tasks(project, "development"):
        found[f"task {task.id.name}"] += 1
    async for workflow in client.list_workflows(project, "development"):
        found[f"workflow {workflow.id.name}"] += 1
    async for plan in client.list_launch_plans(project, "development"):
        found[f"launch plan {plan.id.name}"] += 1
        found[f"active {plan.id.name}"] += plan.closure.state
    return found


async def go_on(path: Path, client: AdminClient, store: DocumentStore) -> None:
    """Apply what is left; then nothing may be left."""
    assert (await apply_plan(await make_plan(path, client, store), client, store, ONE_BY_ONE)).ok
    assert not (await make_plan(path, client, store)).has_changes


@pytest.mark.parametrize("update", [False, True], ids=["create", "update"])
async def test_a_crash_at_any_write(tmp_path: Path, update: bool) -> None:
    """Whatever write was the last, the next apply completes the work, as if there had been no crash.

    With one step at a time, to die after a write is done is to die before the next one.
    """
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        expected: tuple[Counter[str], State] | None = None
        writes = 1_000_000  # none crashes
        while True:
            project = f"p{writes}"
            backend = MemoryBackend()
            store = DocumentStore(backend)
            write_project(path.parent, **first(project))
            if update:
                await go_on(path, client, store)
                write_project(path.parent, **edited(project))
            fuse = Fuse(writes, after=True)
            dying: Any = DyingClient(client, fuse)
            plan = await make_plan(path, client, store)
            try:
                await apply_plan(plan, dying, DyingStore(backend, fuse), ONE_BY_ONE)
            except Crash:
                assert fuse.blown
            await go_on(path, client, store)
            found = (await versions(client, project), await store.load())
            owned = sorted((each.kind, each.name.replace(project, "")) for each in found[1].owned)
            if expected is None:
                expected = found
                total = 1_000_000 - fuse.left
                assert total > 14
                writes = total + 1
            else:
                assert found[0] == expected[0]
                assert owned == sorted((each.kind, each.name.replace("p1000000", "")) for each in expected[1].owned)
            writes -= 1
            if not writes:
                break


async def test_a_killed_process_is_followed_by_another(tmp_path: Path) -> None:
    """Killed for good at writes near the beginning, in the middle and near the end, it leaves no lock and no doubt."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        for writes in (2, 7, 13):
            project = f"killed-{writes}"
            write_project(path.parent, **first(project))
            state = tmp_path / f"{project}.json"
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", KILLED, str(TESTS), client.config.endpoint, str(path), str(state), str(writes)
            )
            assert await process.wait() == -9
            assert await FileBackend(state).holder() is None
            await go_on(path, client, FileStateStore(state))
            found = await versions(client, project)
            assert set(found.values()) == {1}


async def test_who_has_lost_the_state_begins_no_step(tmp_path: Path) -> None:
    """An apply whose lock was taken over skips what it has not begun, and fails at what it would record."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        backend = MemoryBackend()
        store = DocumentStore(backend)
        plan = await make_plan(path, client, store)

        class Thief:
            def __getattr__(self, name: str) -> Any:
                return getattr(client, name)

            async def create_task(self, identifier: Any, spec: Any) -> None:
                await client.create_task(identifier, spec)
                await backend.unlock()
                await backend.acquire(this_process())

        thief: Any = Thief()
        outcomes: list[tuple[Status, str]] = []
        conduct = Conduct(1, lambda outcome: outcomes.append((outcome.status, outcome.change.address.kind)))
        with pytest.raises(StateLostError, match="taken over by another apply"):
            await apply_plan(plan, thief, store, conduct)
        begun = [kind for status, kind in outcomes if status is Status.STARTED]
        assert begun == ["project", "task"]
        await backend.unlock()
        await go_on(path, client, store)


async def test_an_interrupted_apply_is_gone_on_with(tmp_path: Path) -> None:
    """Interrupted after any number of steps, the rest is skipped for that reason, and the next apply does it."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        for steps in (1, 3, 6):
            write_project(path.parent, **first(f"stop-{steps}"))
            store = MemoryStateStore()
            plan: Plan = await make_plan(path, client, store)
            interrupt = asyncio.Event()
            ended: list[Status] = []

            def count(outcome: Any, steps: int = steps, ended: Any = ended, interrupt: Any = interrupt) -> None:
                if outcome.status is not Status.STARTED:
                    ended.append(outcome.status)
                if len(ended) == steps:
                    interrupt.set()

            result = await apply_plan(plan, client, store, Conduct(1, count, interrupt))
            assert [status for status in ended if status is Status.APPLIED] == [Status.APPLIED] * steps
            skipped = result.with_status(Status.SKIPPED)
            assert len(skipped) == len(plan.steps) - steps
            assert {str(each.error) for each in skipped} == {"interrupted"}
            await go_on(path, client, store)
