"""Platforms on this machine, one to a directory: whose it is, what may be stopped, what is left when a start fails."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from flyteform.client.admin import connect
from flyteform.client.config import ClientConfig
from flyteform.errors import NotFoundError
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.migrate import head_revision, migrate
from flyteform_local.processes import this_process
from flyteform_local.starting import settled
from flyteform_local.state import LOCK_NAME, read_holder
from support.platform import running
from support.pulumi.machines import ALONE, TOKEN, Machine, machine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flyteform_local.processes import Process
    from support.pulumi.steps import Result

WITH_PROJECT = f"""{ALONE}
from flyteform.pulumi import Project, Provider

on = pulumi.ResourceOptions(
    provider=Provider("on-it", endpoint=platform.endpoint), deleted_with=platform, replace_with=[platform]
)
Project("acme", opts=on)
"""


def refusal(result: Result) -> str:
    """Return what the platform's operation was refused with: one message, and no traceback."""
    (text,) = (each for urn, each in result.errors.items() if urn.endswith("::platform"))
    assert "Traceback" not in text
    return text


async def has_project(endpoint: str) -> bool:
    """Tell whether a platform has the project that the program declares."""
    async with connect(ClientConfig(endpoint, insecure=True)) as client:
        try:
            return (await client.get_project("acme")).id == "acme"
        except NotFoundError:
            return False


@asynccontextmanager
async def taken_from(port: int | None) -> AsyncIterator[None]:
    """Have a port that a platform had be in use: by us, unless another process was faster and keeps it."""
    with ExitStack() as stack:
        for _ in range(200):
            try:
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
                break
            except OSError:  # what a killed process has left may be in the kernel yet
                await asyncio.sleep(0.05)
        yield


async def starting(local: Machine) -> tuple[asyncio.Task[Result], Process]:
    """Begin an `up`; return it with the platform's process as soon as that holds its directory."""
    begun = asyncio.create_task(local.engine.up())
    async with asyncio.timeout(120):
        while local.holder is None:  # noqa: ASYNC110 - another process sets no event
            await asyncio.sleep(0.01)
    return begun, local.holder.process


@pytest.mark.timeout(300)
async def test_a_directory_is_one_stacks(tmp_path: Path) -> None:
    """Another stack's resource is refused by a platform that runs and by one that is down, and takes over by an import.

    What it stops then is no other process that has got the number of the platform that is gone.
    """
    async with machine(tmp_path) as local, machine(tmp_path, name="other") as other:
        local.write()
        (await local.engine.up()).check()
        pid = local.pid
        other.write(ALONE.replace('Platform("platform"', 'Platform("mine"'), state_dir=str(local.state_dir))
        for operation in (other.engine.preview, other.engine.up):
            (text,) = (await operation()).errors.values()
            assert "belongs to another stack's resource" in text
            assert f"pulumi import {TOKEN} NAME {local.state_dir}" in text
        assert local.pid == pid

        await local.kill()
        (text,) = (await other.engine.up()).errors.values()
        assert "belongs to another stack's resource" in text
        (await other.engine.import_resource(TOKEN, "mine", str(local.state_dir))).check()
        assert (await other.engine.preview()).check().operations() == {"mine": "update"}

        bystander = await asyncio.create_subprocess_exec("sleep", "600")
        try:
            said = {"process": {"pid": bystander.pid, "began": this_process().began}, "owner": "urn"}
            (local.state_dir / LOCK_NAME).write_text(json.dumps(said))
            (await other.engine.destroy()).check()
            assert bystander.returncode is None
        finally:
            bystander.kill()
            assert await bystander.wait() == -signal.SIGKILL


@pytest.mark.timeout(300)
async def test_what_a_person_runs_is_left_alone(tmp_path: Path) -> None:
    """`flyteform dev` on the directory is neither taken over nor stopped, whatever the stack wants of it."""
    async with machine(tmp_path) as local, machine(tmp_path, name="other") as other:
        local.write(state_dir=str(tmp_path / "platform"))
        (await local.engine.up()).check()
        await local.kill()
        other.write(state_dir=str(local.state_dir))
        with running(tmp_path) as dev:
            assert dev.state_dir == local.state_dir
            for operation in (local.engine.up, local.engine.destroy, other.engine.preview, other.engine.up):
                text = refusal(await operation())
                assert f"started by hand (process {dev.process.pid})" in text
                assert "end it (Ctrl-C in its terminal)" in text
            imported = await other.engine.import_resource(TOKEN, "platform", str(local.state_dir))
            assert "started by hand" in refusal(imported)
            dev.get("/healthcheck")
        (await local.engine.destroy()).check()


@pytest.mark.timeout(300)
async def test_a_start_that_is_cut_short(tmp_path: Path) -> None:
    """Cancelled, a create leaves nothing; what it leaves when its provider is killed, the next run takes over."""
    async with machine(tmp_path) as local, machine(tmp_path, name="other") as other:
        local.write()
        begun, process = await starting(local)
        await local.engine.running.cancel()
        assert "cancelled" in refusal(await begun)
        assert not process.runs
        other.write(ALONE.replace('Platform("platform"', 'Platform("mine"'), state_dir=str(local.state_dir))
        assert (await other.engine.preview()).check().operations() == {"mine": "create"}, "the directory is nobody's"

        begun, process = await starting(local)
        local.engine.running.kill_plugins()
        assert (await begun).errors
        assert process.runs, "it goes on without whoever has started it"
        assert (await local.engine.up()).check().operations() == {"platform": "create"}
        assert not process.runs, "there is one platform, and none beside it"
        assert (await local.engine.up()).check().operations() == {}
        as_of_another_release(local)
        foreseen = (await local.engine.preview()).check()
        assert set(foreseen.step("platform").paths) == {"version"}, "another release is to start again"


@pytest.mark.timeout(300)
async def test_moves(tmp_path: Path) -> None:
    """A port that is taken is named before anything is stopped; a free one, and another release, move it with its data.

    In another directory, or where the data has been removed, there is another platform, and what is declared on it is
    made anew.
    """
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with machine(tmp_path) as local:
            local.write(WITH_PROJECT, grpc_port=port)
            text = refusal(await local.engine.up())
            assert f"port {port} on 127.0.0.1 is in use → stop what uses it, or choose another with grpcPort" in text
            local.write(WITH_PROJECT)
            before = (await local.engine.up()).check().outputs
            pid = local.pid
            local.write(WITH_PROJECT, grpc_port=port)
            assert str(port) in refusal(await local.engine.up())
            assert local.pid == pid

            taken.close()
            await local.kill()
            await older_schema(local.state_dir)
            as_of_another_release(local)
            async with taken_from(urlsplit(before["url"]).port):
                moved = (await local.engine.up()).check()
            assert moved.operations() == {"platform": "update", "on-it": "update"}
            assert moved.outputs["endpoint"] == f"127.0.0.1:{port}"
            assert moved.outputs["url"] != before["url"], "nobody asked for the port that it had: any other will do"
            assert await has_project(moved.outputs["endpoint"])

            left = local.state_dir
            local.write(WITH_PROJECT, state_dir=str(tmp_path / "elsewhere"), grpc_port=port)
            replaced = (await local.engine.up()).check()
            assert {step.name for step in replaced.steps if step.operation == "replace"} == {"platform", "acme"}
            assert read_holder(left) is None
            assert await has_project(f"127.0.0.1:{port}")

            await local.kill()
            await settled(local.state_dir)
            shutil.rmtree(local.state_dir)
            anew = (await local.engine.up()).check()
            assert {step.name for step in anew.steps if step.operation == "replace"} == {"platform", "acme"}
            assert await has_project(f"127.0.0.1:{port}")


@pytest.mark.timeout(300)
async def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    """Data that is no data, a platform that dies while it starts, a place that is no directory: each in one message."""
    async with machine(tmp_path) as local:
        local.write()
        local.state_dir.mkdir()
        (local.state_dir / "notes.txt").write_text("mine")
        assert "is no platform's state directory: notes.txt is in it" in refusal(await local.engine.up())
        state_dir = local.state_dir
        local.write(state_dir=str(state_dir / "notes.txt" / "below"))
        assert "cannot be used: Not a directory" in refusal(await local.engine.up())

        local.write(state_dir=str(state_dir))
        (local.state_dir / "notes.txt").unlink()
        (local.state_dir / "control.db").write_text("nonsense" * 1000)
        with (local.state_dir / "platform.log").open("wb") as log:
            log.truncate(17 * 1024 * 1024)
        text = refusal(await local.engine.up())
        assert "ended while it started: DatabaseError" in text
        assert "file is not a database" in text
        assert f"its log is {local.state_dir / 'platform.log'}" in text
        assert (local.state_dir / "platform.log").stat().st_size < 1024 * 1024
        assert (local.state_dir / "platform.log.1").stat().st_size == 17 * 1024 * 1024, "a long log is put aside"
        (local.state_dir / "control.db").unlink()

        begun, process = await starting(local)
        process.send(signal.SIGKILL)
        assert "ended while it started" in refusal(await begun)
        assert local.holder is None


async def older_schema(state_dir: Path) -> None:
    """Bring the platform's database to the revision before, as an earlier release would have left it."""
    database = Database(f"sqlite:///{state_dir / 'control.db'}")
    try:
        await migrate(database, to=f"{int(head_revision()) - 1:04}")
    finally:
        await database.close()


def as_of_another_release(local: Machine) -> None:
    """Make the stack's state say that an earlier release runs."""
    file = local.engine.state_file
    resources: list[dict[str, Any]] = json.loads(file.read_text())
    for each in resources:
        if each["type"] == TOKEN:
            each["outputs"]["version"] = "0.0.9"
    file.write_text(json.dumps(resources))
