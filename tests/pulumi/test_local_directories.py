"""Platforms on this machine, one to a directory: whose it is, what may be stopped, what is left when a start fails."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from typing import TYPE_CHECKING, Any

import pytest

from flyteform.client.admin import connect
from flyteform.client.config import ClientConfig
from flyteform.errors import NotFoundError
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.migrate import head_revision, migrate
from flyteform_local.processes import this_process
from flyteform_local.state import LOCK_NAME, read_holder
from support.platform import running
from support.pulumi.machines import ALONE, TOKEN, Machine, machine

if TYPE_CHECKING:
    from pathlib import Path

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


@pytest.mark.timeout(300)
async def test_a_directory_is_one_stacks(tmp_path: Path) -> None:
    """Another stack's resource is refused by a running platform and by one that is down, and imports it."""
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
        assert (await other.engine.up()).check().operations() == {"mine": "update"}
        (await other.engine.destroy()).check()
        assert local.holder is None


@pytest.mark.timeout(300)
async def test_what_a_person_runs_is_left_alone(tmp_path: Path) -> None:
    """`flyteform dev` on the directory is neither taken over nor stopped; after it has ended its data is taken over."""
    async with machine(tmp_path) as local:
        with running(tmp_path) as dev:
            local.write(state_dir=str(dev.state_dir))
            for operation in (local.engine.preview, local.engine.up):
                text = refusal(await operation())
                assert f"started by hand (process {dev.process.pid})" in text
                assert "end it (Ctrl-C in its terminal)" in text
            imported = await local.engine.import_resource(TOKEN, "platform", str(dev.state_dir))
            assert "started by hand" in refusal(imported)
            dev.get("/healthcheck")
            assert dev.stop() == 0
            made = (await local.engine.up()).check()
            assert made.outputs["state"] == "running"
            await local.kill()
            dev.start()  # behind the stack's back
            for operation in (local.engine.destroy, local.engine.up):
                assert f"started by hand (process {dev.process.pid})" in refusal(await operation())
            dev.get("/healthcheck")


@pytest.mark.timeout(300)
async def test_delete_stops_no_other_process(tmp_path: Path) -> None:
    """A process that has got the number of a platform that is gone is not stopped."""
    async with machine(tmp_path) as local:
        local.write()
        (await local.engine.up()).check()
        await local.kill()
        bystander = await asyncio.create_subprocess_exec("sleep", "600")
        try:
            said = {"process": {"pid": bystander.pid, "began": this_process().began}, "owner": "urn"}
            (local.state_dir / LOCK_NAME).write_text(json.dumps(said))
            (await local.engine.destroy()).check()
            assert bystander.returncode is None
        finally:
            bystander.kill()
            assert await bystander.wait() == -signal.SIGKILL


@pytest.mark.timeout(300)
async def test_a_start_that_was_cut_short_is_finished(tmp_path: Path) -> None:
    """A provider that is killed while it creates leaves what the next run takes over: one platform, none beside it."""
    async with machine(tmp_path) as local:
        local.write()
        running_up = asyncio.create_task(local.engine.up())
        async with asyncio.timeout(60):
            while local.holder is None:  # noqa: ASYNC110 - another process sets no event
                await asyncio.sleep(0.01)
        local.engine.running.kill_plugins()
        assert (await running_up).errors
        left = local.pid
        made = (await local.engine.up()).check()
        assert made.operations() == {"platform": "create"}
        assert local.pid != left
        assert (await local.engine.up()).check().operations() == {}


@pytest.mark.timeout(300)
async def test_a_start_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C during a create stops what was started, and the directory is nobody's."""
    async with machine(tmp_path) as local, machine(tmp_path, name="other") as other:
        local.write()
        running_up = asyncio.create_task(local.engine.up())
        async with asyncio.timeout(60):
            while local.holder is None:  # noqa: ASYNC110 - another process sets no event
                await asyncio.sleep(0.01)
        process = local.holder.process
        await local.engine.running.cancel()
        assert "cancelled" in refusal(await running_up)
        assert not process.runs
        other.write(ALONE.replace('Platform("platform"', 'Platform("mine"'), state_dir=str(local.state_dir))
        assert (await other.engine.preview()).check().operations() == {"mine": "create"}


@pytest.mark.timeout(300)
async def test_ports(tmp_path: Path) -> None:
    """A port that is taken is named before anything is stopped; a free one moves the platform, and its data stays."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with machine(tmp_path) as local:
            local.write(WITH_PROJECT, grpc_port=port)
            text = refusal(await local.engine.up())
            assert f"port {port} on 127.0.0.1 is in use → stop what uses it, or choose another with grpcPort" in text
            local.write(WITH_PROJECT)
            (await local.engine.up()).check()
            pid = local.pid
            local.write(WITH_PROJECT, grpc_port=port)
            assert str(port) in refusal(await local.engine.up())
            assert local.pid == pid
            taken.close()
            moved = (await local.engine.up()).check()
            assert moved.operations() == {"platform": "update", "on-it": "update"}
            assert moved.outputs["endpoint"] == f"127.0.0.1:{port}"
            assert await has_project(moved.outputs["endpoint"])


@pytest.mark.timeout(300)
async def test_another_directory_is_another_platform(tmp_path: Path) -> None:
    """What is declared on a platform is made anew on the one that replaces it, on the same ports."""
    async with machine(tmp_path) as local:
        local.write(WITH_PROJECT)
        before = (await local.engine.up()).check()
        port = int(before.outputs["endpoint"].rpartition(":")[2])
        left = local.state_dir
        local.write(WITH_PROJECT, state_dir=str(tmp_path / "elsewhere"), grpc_port=port)
        moved = (await local.engine.up()).check()
        replaced = {step.name for step in moved.steps if step.operation == "replace"}
        assert replaced == {"platform", "acme"}
        assert read_holder(left) is None
        assert await has_project(moved.outputs["endpoint"])
        (await local.engine.destroy()).check()


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
        text = refusal(await local.engine.up())
        assert "ended while it started: DatabaseError" in text
        assert "file is not a database" in text
        assert f"its log is {local.state_dir / 'platform.log'}" in text
        (local.state_dir / "control.db").unlink()

        running_up = asyncio.create_task(local.engine.up())
        async with asyncio.timeout(60):
            while local.holder is None:  # noqa: ASYNC110 - another process sets no event
                await asyncio.sleep(0.01)
        local.holder.process.send(signal.SIGKILL)
        assert "ended while it started" in refusal(await running_up)
        assert local.holder is None


async def stored(state_dir: Path, revision: str | None = None) -> None:
    """Bring the platform's database to another revision, as another release would have left it."""
    database = Database(f"sqlite:///{state_dir / 'control.db'}")
    try:
        await migrate(database, to=revision)
    finally:
        await database.close()


@pytest.mark.timeout(300)
async def test_releases(tmp_path: Path) -> None:
    """A platform of another release is started again by an `up`, and data of an older schema is taken along."""
    async with machine(tmp_path) as local:
        local.write(WITH_PROJECT)
        before = (await local.engine.up()).check()
        await local.kill()
        await stored(local.state_dir, f"{int(head_revision()) - 1:04}")
        as_of(local, "0.0.9")
        after = (await local.engine.up()).check()
        assert after.operations() == {"platform": "update"}
        assert await has_project(after.outputs["endpoint"])
        assert after.outputs == before.outputs


def as_of(local: Machine, version: str) -> None:
    """Make the stack's state say that another release runs."""
    file = local.engine.state_file
    resources: list[dict[str, Any]] = json.loads(file.read_text())
    for each in resources:
        if each["type"] == TOKEN:
            each["outputs"]["version"] = version
    file.write_text(json.dumps(resources))
