"""Plan and apply against a real control plane: every kind of change, crashes at every write, saved plans."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from flyteidl.admin import common_pb2
from flyteidl.core.identifier_pb2 import TASK

from flyteform.client.admin import connect
from flyteform.client.config import ClientConfig
from flyteform.errors import ConflictError, FlyteformError
from flyteform.provision.apply import ApplyResult, Status
from flyteform.provision.errors import StalePlanError
from flyteform.provision.model import Action
from flyteform.provision.provisioner import apply_plan, check_fresh, default_store, make_plan
from flyteform.provision.state import State
from flyteform.provision.state_file import FileStateStore
from flyteform.provision.state_memory import MemoryStateStore
from support.control_plane import control_plane
from support.crashes import Crash, DyingClient, Fuse
from support.declarations import PIPELINES, TASKS, write_project

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform.client.admin import AdminClient
    from flyteform.provision.model import Plan


async def apply(path: Path, client: AdminClient, *, destroy: bool = False) -> Plan:
    """Plan and apply with the default state; every step has to be applied."""
    store = default_store(path, client.config)
    plan = await make_plan(path, client, store, destroy=destroy)
    result = await apply_plan(plan, client, store)
    assert result.ok, [outcome for outcome in result.outcomes if outcome.error]
    return plan


def actions(plan: Plan) -> set[tuple[Action, str]]:
    """Return what a plan does to which names."""
    return {(step.action, step.address.name) for step in plan.steps}


async def test_apply_then_plan_is_empty_for_everybody(tmp_path: Path) -> None:
    """After an apply nothing is left to do, for its user and for one without any state."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        first = await apply(path, client)
        assert first.counts.create == 6
        assert not (await make_plan(path, client)).has_changes
        assert not (await make_plan(path, client, MemoryStateStore())).has_changes
        elsewhere = write_project(tmp_path / "another" / "checkout")
        assert not (await make_plan(elsewhere, client)).has_changes


async def test_an_edit_is_a_new_version_with_its_difference(tmp_path: Path) -> None:
    """A changed setting makes new versions of the task and its callers, shown field by field, and is activated."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        await apply(path, client)
        write_project(path.parent, tasks=TASKS.replace('cpu="1"', 'cpu="2"'))
        plan = await apply(path, client)
        by_name = {(step.action, step.address.name): step for step in plan.steps}
        change = by_name[Action.NEW_VERSION, "tasks.double"]
        assert [(each.path, each.before, each.after) for each in change.fields] == [
            ("resources.requests.cpu", "1", "2")
        ]
        assert by_name[Action.NEW_VERSION, "tasks.total"].address.kind in ("workflow", "launch_plan")
        assert (Action.ACTIVATE, "nightly") in by_name
        assert not (await make_plan(path, client)).has_changes


async def test_going_back_activates_the_old_version_and_registers_nothing(tmp_path: Path) -> None:
    """A reverted edit finds its versions registered: only the activation is left to do."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        await apply(path, client)
        write_project(path.parent, pipelines=PIPELINES.replace("0 3", "0 4"))
        assert actions(await apply(path, client)) == {(Action.NEW_VERSION, "nightly"), (Action.ACTIVATE, "nightly")}
        write_project(path.parent)
        assert actions(await apply(path, client)) == {(Action.ACTIVATE, "nightly")}


async def test_what_vanishes_is_taken_out_of_use(tmp_path: Path) -> None:
    """A launch plan that is no longer declared is deactivated, once, and then forgotten."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        await apply(path, client)
        shorter = PIPELINES[: PIPELINES.index("nightly =")]
        write_project(path.parent, pipelines=shorter)
        assert actions(await apply(path, client)) == {(Action.DEACTIVATE, "nightly")}
        assert not (await make_plan(path, client)).has_changes
        owned = (await default_store(path, client.config).load()).owned
        assert "nightly" not in {address.name for address in owned}


async def test_destroy_then_apply(tmp_path: Path) -> None:
    """Destroy takes all out of use and leaves nothing to destroy; an apply brings the same versions back."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        await apply(path, client)
        destroyed = await apply(path, client, destroy=True)
        assert destroyed.counts.archive == 6
        assert not (await make_plan(path, client, destroy=True)).has_changes
        back = await apply(path, client)
        assert {step.action for step in back.steps} == {Action.UPDATE, Action.ACTIVATE}
        assert not (await make_plan(path, client)).has_changes


async def test_restoring_keeps_descriptions(tmp_path: Path) -> None:
    """Archiving and restoring a name leave the description that somebody gave it."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        await apply(path, client)
        name = common_pb2.NamedEntityIdentifier(project="acme", domain="development", name="tasks.add")
        entity = await client.get_named_entity(TASK, name)
        entity.metadata.description = "adds"
        await client.update_named_entity(entity)
        await apply(path, client, destroy=True)
        await apply(path, client)
        assert (await client.get_named_entity(TASK, name)).metadata.description == "adds"


async def test_drift_of_a_project_is_put_right(tmp_path: Path) -> None:
    """Settings that somebody changed behind our back are planned as an update in place."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        await apply(path, client)
        project = await client.get_project("acme")
        del project.domains[:]
        project.description = "hacked"
        await client.update_project(project)
        plan = await apply(path, client)
        (step,) = plan.steps
        assert [(each.before, each.after) for each in step.fields] == [("hacked", "Makes everything")]
        assert not (await make_plan(path, client)).has_changes


async def test_a_crash_before_a_removal_is_recorded_forgets_nothing(tmp_path: Path) -> None:
    """What was created by an apply that died is owned: taken out of the declaration, it is taken out of use."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        store = default_store(path, client.config)
        plan = await make_plan(path, client, store)
        writes = len(plan.steps) + 1  # the upload is a write too
        dying: Any = DyingClient(client, Fuse(writes, after=True))
        with pytest.raises(Crash):
            await apply_plan(plan, dying, store)
        write_project(path.parent, pipelines=PIPELINES[: PIPELINES.index("nightly =")])
        await apply(path, client)
        places = client.list_launch_plans("acme", "development", filters="eq(state,1)")
        assert [row.id.name async for row in places] == ["tasks.total"]


async def test_a_failed_branch_stops_only_what_depends_on_it(tmp_path: Path) -> None:
    """When one task is refused its callers are skipped, the rest is applied, and the summary says so."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:

        class Refusing:
            def __getattr__(self, name: str) -> Any:
                return getattr(client, name)

            async def create_task(self, identifier: Any, spec: Any) -> None:
                if identifier.name == "tasks.add":
                    raise ConflictError("refused")
                await client.create_task(identifier, spec)

        refusing: Any = Refusing()
        result: ApplyResult = await apply_plan(await make_plan(path, client), refusing, MemoryStateStore())
        assert not result.ok
        ended = {(each.change.action, each.change.address.name): each.status for each in result.outcomes}
        assert ended[Action.CREATE, "tasks.double"] is Status.APPLIED
        assert ended[Action.CREATE, "tasks.add"] is Status.FAILED
        assert {status for key, status in ended.items() if key[1] in ("tasks.total", "nightly")} == {Status.SKIPPED}
        await apply(path, client)
        assert not (await make_plan(path, client)).has_changes


async def test_a_saved_plan_is_refused_when_the_world_has_moved(tmp_path: Path) -> None:
    """A plan is fresh until somebody writes; then it is refused, and so is one for another platform."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        store = default_store(path, client.config)
        plan = await make_plan(path, client, store)
        await check_fresh(plan, client, store)
        await apply_plan(plan, client, store)
        with pytest.raises(StalePlanError):
            await check_fresh(plan, client, store)
        with pytest.raises(StalePlanError):
            await apply_plan(plan, client, store)
        async with connect(ClientConfig("127.0.0.1:1", insecure=True)) as other:
            with pytest.raises(ConflictError, match="made for"):
                await check_fresh(plan, other, store)


async def test_two_applies_at_once_never_both_write(tmp_path: Path) -> None:
    """Of two applies of the same state one is done and the other is refused."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        store = default_store(path, client.config)
        plan = await make_plan(path, client, store)
        results = await asyncio.gather(
            apply_plan(plan, client, store), apply_plan(plan, client, store), return_exceptions=True
        )
        assert sum(isinstance(result, ApplyResult) for result in results) == 1
        assert sum(isinstance(result, FlyteformError) for result in results) == 1


async def test_a_plan_writes_nothing(tmp_path: Path) -> None:
    """A plan leaves no file beside the declaration and no row on the platform."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        before = sorted(each.name for each in path.parent.iterdir() if each.name != "__pycache__")
        await make_plan(path, client)
        assert sorted(each.name for each in path.parent.iterdir() if each.name != "__pycache__") == before
        assert await default_store(path, client.config).load() == State()
        assert (await make_plan(path, client)).counts.create == 6


async def test_an_apply_without_changes_takes_ownership(tmp_path: Path) -> None:
    """Who applies what another one has created owns it too, and can take it out of use later."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        await apply(path, client)
        colleague = FileStateStore(tmp_path / "colleague.json")
        plan = await make_plan(path, client, colleague)
        assert not plan.has_changes
        await apply_plan(plan, client, colleague)
        assert (await colleague.load()).owned == (await default_store(path, client.config).load()).owned
