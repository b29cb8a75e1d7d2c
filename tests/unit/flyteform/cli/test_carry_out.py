"""Applying a plan from the command line: what is said while it runs, and of what is left."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from flyteform.cli.apply_progress import showing
from flyteform.cli.carry_out import INTERRUPTED, carry_out
from flyteform.cli.options import Duration, Manner
from flyteform.errors import ConflictError
from flyteform.provision.apply import Outcome, Status, execute
from flyteform.provision.model import Action, Address, Change, Desired, Kind, Plan
from flyteform.provision.provisioner import make_plan
from flyteform.provision.state_memory import MemoryBackend, MemoryStateStore
from flyteform.provision.state_store import DocumentStore
from support.control_plane import control_plane
from support.declarations import write_project

if TYPE_CHECKING:
    from pathlib import Path

YES = Manner(approved=True, parallelism=1)


class Meddling:
    """A client that calls something before it creates a task of a given name."""

    def __init__(self, client: Any, name: str, meddle: Any) -> None:
        self._client, self._name, self._meddle = client, name, meddle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def create_task(self, identifier: Any, spec: Any) -> None:
        """Create a task, or meddle."""
        if identifier.name == self._name:
            self._meddle()
        await self._client.create_task(identifier, spec)


async def test_what_is_left_is_said_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A failed step with its error and what to do about it, and what depends on it with that as the reason."""
    path, store = write_project(tmp_path / "work"), MemoryStateStore()

    def refuse() -> None:
        raise ConflictError("cpu 64 is over the limit", remedy="ask for less")

    async with control_plane(tmp_path) as client:
        meddling: Any = Meddling(client, "tasks.add", refuse)
        assert await carry_out(lambda: make_plan(path, client, store), meddling, store, YES) == 1
        left = capsys.readouterr().out.partition("Left to do, and why:\n")[2]
        assert left.startswith(
            "  create task tasks.add in acme/development: cpu 64 is over the limit\n"
            "    → ask for less\n"
            "  create workflow tasks.total in acme/development: task tasks.add in acme/development failed\n"
        )
        assert left.endswith("The next apply goes on with it.\n")
        assert await carry_out(lambda: make_plan(path, client, store), client, store, YES) == 0
        assert "Left to do" not in capsys.readouterr().out


async def test_an_interrupt_lets_the_running_step_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The step in which the signal came is applied and recorded, no other begins, and the code is that of shells."""
    path, store = write_project(tmp_path / "work"), MemoryStateStore()
    async with control_plane(tmp_path) as client:
        meddling: Any = Meddling(client, "tasks.double", lambda: os.kill(os.getpid(), signal.SIGINT))
        code = await carry_out(lambda: make_plan(path, client, store), meddling, store, YES)
        shown = capsys.readouterr()
        assert code == INTERRUPTED
        assert "✓ create task tasks.double" in shown.out
        assert "create task tasks.add in acme/development: interrupted" in shown.out
        assert "Interrupted" in shown.err
        done = {address.name for address, record in (await store.load()).records.items() if record.version}
        assert done == {"tasks.double"}
        assert await carry_out(lambda: make_plan(path, client, store), client, store, YES) == 0


async def test_behind_another_apply_the_rest_is_planned_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who waits for another apply of the same declaration finds nothing left to do, and that is no error."""
    path = write_project(tmp_path / "work")
    backend = MemoryBackend()
    async with control_plane(tmp_path) as client:
        first, second = DocumentStore(backend), DocumentStore(backend)
        plan = await make_plan(path, client, first)
        planned = asyncio.Event()

        async def make() -> Plan:
            found = await make_plan(path, client, second)
            planned.set()
            return found

        async with first.lock():
            waiting = asyncio.create_task(carry_out(make, client, second, Manner(approved=True, lock_timeout=60)))
            await planned.wait()
            assert (await execute(plan, client, first)).ok
        assert await waiting == 0
        shown = capsys.readouterr().out
        assert "Another apply was at work meanwhile" in shown
        assert "No changes" in shown


def test_what_runs_is_shown_below_what_has_ended() -> None:
    """On a terminal each step that ended has its line, and the running ones are shown with the count."""
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    change = Change(Action.CREATE, Address(Kind.TASK, "p", "d", "m.t"), "does not exist")
    plan = Plan("h:1", Desired(), (change, Change(Action.CREATE, Address(Kind.TASK, "p", "d", "m.u"), "")))
    with showing(plan, console) as show:
        show(Outcome(change, Status.STARTED))
        show(Outcome(change, Status.APPLIED, None, 0.5))
        show(Outcome(plan.changes[1], Status.STARTED))
    text = console.file.getvalue()  # type: ignore[attr-defined] - the StringIO above
    assert "✓" in text
    assert "1 of 2 steps" in text
    assert "… create task m.u in p/d" in text


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("90", 90), ("1.5s", 1.5), ("10m", 600), ("2 h", 7200)])
def test_times(text: str, seconds: float) -> None:
    """A number with a unit, or seconds."""
    assert Duration().convert(text, None, None) == seconds
