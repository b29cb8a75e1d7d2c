"""Whatever is declared and edited: applied it is as declared, imported it is as it was, destroyed it comes back.

Against a real control plane, with `flyteform.v1` and as a stock FlyteAdmin.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import tempfile
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from flyteform.provision.apply import execute
from flyteform.provision.identifiers import RESOURCE_TYPES
from flyteform.provision.importing import import_declaration
from flyteform.provision.model import Kind
from flyteform.provision.provisioner import apply_plan, check_fresh, make_plan
from flyteform.provision.restoring import find_drift, plan_return, return_to
from flyteform.provision.saved import dump_plan, read_plan
from flyteform.provision.state_memory import MemoryBackend
from flyteform.provision.state_store import DocumentStore
from support.control_plane import control_plane
from support.crashes import Crash, DyingClient, DyingStore, Fuse
from support.random_declarations import Declaration, declarations

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from flyteform.client.admin import AdminClient
    from flyteform.provision.model import Plan

EXAMPLES = int(os.environ.get("FLYTEFORM_PROPERTY_EXAMPLES", "5"))
STEPS = int(os.environ.get("FLYTEFORM_PROPERTY_STEPS", "6"))
_projects = itertools.count(1)


class Platform:
    """A control plane in an event loop of its own, for tests that are no coroutines."""

    def __init__(self, *, stock: bool) -> None:
        self.stock = stock
        self.folder = Path(tempfile.mkdtemp(prefix="flyteform-properties-"))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._stack = AsyncExitStack()

    def start(self) -> None:
        """Start it."""
        self._thread.start()
        self.client: AdminClient = self.run(
            self._stack.enter_async_context(control_plane(self.folder, stock=self.stock))
        )

    def run(self, work: Awaitable[Any]) -> Any:
        """Wait for a coroutine."""

        async def do() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(do(), self._loop).result(60)

    def stop(self) -> None:
        """Stop it."""
        self.run(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        shutil.rmtree(self.folder)


@pytest.fixture(scope="module", params=[False, True], ids=["flyteform", "stock"])
def platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """Give a platform of each kind."""
    found = Platform(stock=request.param)
    found.start()
    yield found
    found.stop()


class LifeCycle(RuleBasedStateMachine):
    """A declaration that is edited, applied, imported, destroyed, and gone back with, in any order."""

    platform: ClassVar[Platform]

    def __init__(self) -> None:
        super().__init__()
        self.project = f"p{next(_projects)}"
        self.folder = self.platform.folder / self.project
        self.backend = MemoryBackend()
        self.store = DocumentStore(self.backend)
        self.declared: Path | None = None
        self.applied = False

    @property
    def client(self) -> AdminClient:
        """The platform's client."""
        return self.platform.client

    def plan(self, *, destroy: bool = False) -> Plan:
        """Plan what is declared now."""
        assert self.declared is not None
        plan: Plan = self.platform.run(make_plan(self.declared, self.client, self.store, destroy=destroy))
        return plan

    def carry_out(self, plan: Plan) -> None:
        """Apply a plan; every step has to succeed."""
        result = self.platform.run(apply_plan(plan, self.client, self.store))
        assert result.ok, [str(each.error) for each in result.outcomes if each.error]

    @rule(data=st.data())
    def edit(self, data: st.DataObject) -> None:
        """Declare something else, in the same files; planning it twice gives the same bytes."""
        declaration: Declaration = data.draw(declarations(policies=not self.platform.stock))
        self.declared = declaration.write(self.folder, self.project)
        self.applied = False
        assert dump_plan(self.plan(), "") == dump_plan(self.plan(), "")

    @precondition(lambda self: self.declared is not None)
    @rule(saved=st.booleans())
    def apply(self, *, saved: bool = False) -> None:
        """After an apply, also of a plan that was saved, nothing is left to do, and nothing has drifted."""
        plan = self.plan()
        if saved and plan.has_changes:
            path = self.folder / "saved.plan"
            path.write_text(dump_plan(plan, ""))
            plan = read_plan(path).plan
            self.platform.run(check_fresh(plan, self.client, self.store))
        self.carry_out(plan)
        assert self.plan().steps == ()
        state = self.platform.run(self.store.load())
        assert self.platform.run(find_drift(self.client, state)).steps == ()
        self.applied = True

    @precondition(lambda self: self.declared is not None)
    @rule(write=st.integers(1, 25))
    def crash(self, write: int) -> None:
        """Die at some write of an apply, and go on."""
        fuse = Fuse(write, after=True)
        dying: Any = DyingClient(self.client, fuse)
        plan = self.plan()
        try:
            self.platform.run(apply_plan(plan, dying, DyingStore(self.backend, fuse)))
        except Crash:
            self.platform.run(self.backend.unlock())
        self.apply()

    @precondition(lambda self: self.applied)
    @rule()
    def import_(self) -> None:
        """Import, and find nothing to do."""
        found = self.platform.run(import_declaration(self.client, self.project))
        assert found.notes == ()
        path = self.folder / "imported" / "imported.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(found.text)
        plan = self.platform.run(make_plan(path, self.client, DocumentStore(MemoryBackend())))
        assert plan.steps == (), found.text

    @precondition(lambda self: self.applied)
    @rule()
    def destroy(self) -> None:
        """After a destroy nothing is left to destroy or owned, and an apply brings everything back."""
        self.carry_out(self.plan(destroy=True))
        assert self.plan(destroy=True).steps == ()
        assert self.platform.run(self.store.load()).owned == frozenset()
        self.apply()

    @precondition(lambda self: self.applied)
    @rule(data=st.data())
    def go_back(self, data: st.DataObject) -> None:
        """Back at an earlier apply, the platform has what that left, and the next apply goes forward again."""
        state = self.platform.run(self.store.load())
        whole = [run.serial for run in state.runs if _has_project(state.at(run.serial))]
        serial = data.draw(st.sampled_from(whole))
        target = self.platform.run(return_to(self.client, state, serial=serial))
        plan = self.platform.run(plan_return(self.client, state, target))
        result = self.platform.run(self._held(plan, target.goals))
        assert result.ok, [str(each.error) for each in result.outcomes if each.error]
        after = self.platform.run(self.store.load())
        assert dict(after.records) == dict(state.at(serial))
        assert self.platform.run(find_drift(self.client, after)).steps == ()
        self.apply()

    @precondition(lambda self: self.applied)
    @rule(number=st.integers(0, 99), archive=st.booleans())
    def meddle(self, number: int, archive: bool) -> None:
        """Let somebody else archive names and switch launch plans; an apply puts it right."""
        self.platform.run(self._meddled(number, archive=archive))
        self.apply()

    async def _meddled(self, number: int, *, archive: bool) -> None:
        for kind, resource_type in RESOURCE_TYPES.items() if archive else ():
            names = [row async for row in self.client.list_named_entities(resource_type, self.project, "development")]
            if names and kind is not Kind.LAUNCH_PLAN:
                names[number % len(names)].metadata.state = 1
                await self.client.update_named_entity(names[number % len(names)])
        plans = [row async for row in self.client.list_launch_plans(self.project, "development")]
        if plans:
            chosen = plans[number % len(plans)]
            await self.client.set_launch_plan_active(chosen.id, active=not chosen.closure.state)
        project = await self.client.get_project(self.project)
        del project.domains[:]
        project.description = f"meddled {number}"
        await self.client.update_project(project)

    async def _held(self, plan: Plan, goals: Any) -> Any:
        async with self.store.lock():
            return await execute(plan, self.client, self.store, goals=goals)


def _has_project(records: Any) -> bool:
    return any(address.kind is Kind.PROJECT for address in records)


def test_the_life_of_declarations(platform: Platform) -> None:
    """All properties hold over random declarations, edits and crashes, in any order."""
    LifeCycle.platform = platform
    run_state_machine_as_test(
        LifeCycle,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize="FLYTEFORM_PROPERTY_EXAMPLES" not in os.environ,
            phases=[Phase.generate],  # to shrink a failure takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
