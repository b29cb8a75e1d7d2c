"""What can happen to a stack: unknown addresses, secrets, failures, kills, imports, options."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import pytest

from support.pulumi.programs import FULL, SIMPLE, TASKS
from support.pulumi.proxies import proxied
from support.pulumi.stacks import Stack, stack_in
from support.pulumi.wire import UNKNOWN

if TYPE_CHECKING:
    from pathlib import Path

    from support.pulumi.engine import Engine

PLACED = "acme/development/tasks."
SECRETS = ("swordfish", "provider-swordfish")


def saved(engine: Engine, name: str) -> dict[str, object]:
    """Return the outputs that the state has of a resource."""
    return next(each.outputs for each in engine.state.resources if each.name == name)


@pytest.mark.parametrize("sent", [True, False], ids=["unknowns-sent", "unknowns-kept"])
async def test_a_platform_that_is_yet_to_be_created(stack: Stack, *, sent: bool) -> None:
    """Where the program creates the platform's address and the image, preview works and up brings all about."""
    stack.write(FULL)
    stack.engine.sends_unknown_configuration = sent
    foreseen = (await stack.engine.preview()).check()
    assert foreseen.outputs == {"version": UNKNOWN}
    made = (await stack.engine.up()).check()
    assert made.operations() == foreseen.operations()
    stack.write(FULL.replace("tasks:1", "tasks:2"), TASKS.replace('cpu="1"', 'cpu="2"'))
    told = (await stack.engine.preview()).check().said
    assert "known later: spec.template.container.image" in told
    assert "resources.requests.cpu  1 → 2" in told
    stack.write(FULL)
    task = [each async for each in stack.client.list_tasks("acme", "development", name="tasks.add")]
    assert [each.closure.compiled_task.template.container.image for each in task] == ["registry.example.org/tasks:1"]
    assert (await stack.engine.up()).check().operations() == {}


async def test_secrets_stay_secret(stack: Stack) -> None:
    """Neither the state nor a message nor the provider's log shows a secret in clear, also when it changes."""
    stack.write(FULL)
    said = [(await stack.engine.up()).check().said]
    stack.engine.config["program:secret"] = "swordfish-two"
    stack.write(FULL.replace("0 3 * * *", "0 4 * * *"))
    changed = (await stack.engine.preview()).check()
    assert changed.operations() == {"nightly": "update"}
    assert "cron 0 3 * * * → cron 0 4 * * *" in changed.said
    said += [changed.said, (await stack.engine.up()).check().said]
    assert (await stack.engine.refresh()).check().operations() == {}
    texts = [*said, stack.plugin_log]
    assert not [text for text in texts if any(secret in text for secret in SECRETS)]
    assert not [secret for secret in SECRETS if secret in stack.engine.state_file.read_text()]
    plans = [each async for each in stack.client.list_launch_plans("acme", "development", name="nightly", newest=True)]
    assert [pair.value for pair in plans[0].spec.envs.values] == ["swordfish-two"]


async def test_an_unreachable_platform_fails_the_refresh_and_drops_nothing(tmp_path: Path) -> None:
    """A refresh without a platform names every resource as failed and leaves the state as it is."""
    async with stack_in(tmp_path) as stack:
        (await stack.engine.up()).check()
    before = stack.engine.state_file.read_text()
    failed = await stack.engine.refresh()
    assert len(failed.errors) == 6
    assert all("cannot" in text or "not" in text for text in failed.errors.values())
    assert stack.engine.state_file.read_text() == before
    stack.write(SIMPLE.replace("Makes everything", "Makes more"))
    told = (await stack.engine.preview()).check()
    assert told.operations() == {"acme": "update"}
    assert "not held against the platform" in told.said


async def test_what_vanished_is_created_again(tmp_path: Path) -> None:
    """A refresh against a platform that has nothing any more drops all, and the next up makes it again."""
    async with stack_in(tmp_path / "one") as stack:
        (await stack.engine.up()).check()
        state = stack.engine.state_file
    async with stack_in(tmp_path / "two") as stack:
        shutil.copy(state, stack.engine.state_file)
        assert set((await stack.engine.refresh()).check().operations().values()) == {"drop"}
        assert set((await stack.engine.up()).check().operations().values()) == {"create"}


async def test_kill_in_mid_up_and_up_again(stack: Stack) -> None:
    """A provider that is killed between any two steps, or a state that was not written, harms no later up."""
    (await stack.engine.preview()).check()
    async with proxied(stack.client.config.endpoint) as proxy:
        stack.engine.config["flyteform:endpoint"] = proxy.endpoint
        proxy.held = {"CreateWorkflow"}
        running = asyncio.create_task(stack.engine.up())
        await asyncio.wait_for(proxy.arrived.wait(), 60)
        assert stack.engine.running is not None
        stack.engine.running.kill_plugins()
        proxy.held = set()
        proxy.released.set()
        killed = await asyncio.wait_for(running, 60)
    stack.engine.config["flyteform:endpoint"] = stack.client.config.endpoint
    assert [urn.rpartition("::")[2] for urn in killed.errors] == ["everyday"]
    kept = stack.engine.state_file.read_text()
    assert set((await stack.engine.up()).check().operations()) >= {"everyday", "nightly", f"{PLACED}total"}
    # The engine is killed before it has written what was done: all is there already.
    stack.engine.state_file.write_text(kept)
    assert set((await stack.engine.up()).check().operations()) >= {"everyday", "nightly"}
    assert (await stack.engine.up()).check().operations() == {}
    versions = [each async for each in stack.client.list_workflows("acme", "development", name="tasks.total")]
    assert len(versions) == 1


async def test_what_is_not_finished_is_kept_and_finished(stack: Stack) -> None:
    """A launch plan that is registered but not activated is kept as unfinished; the next up activates it."""
    async with proxied(stack.client.config.endpoint) as proxy:
        stack.engine.config["flyteform:endpoint"] = proxy.endpoint
        proxy.failing = {"UpdateLaunchPlan"}
        failed = await stack.engine.up()
        assert any("UpdateLaunchPlan is broken" in text for text in failed.errors.values())
        assert not any("Traceback" in text for text in failed.errors.values())
        unfinished = [each for each in stack.engine.state.resources if each.init_errors]
        assert unfinished
        assert all(each.outputs["activeVersion"] == "" for each in unfinished)
        proxy.failing = set()
        assert (await stack.engine.up()).check().operations()[unfinished[0].name] == "update"
        assert (await stack.engine.up()).check().operations() == {}
    assert saved(stack.engine, "nightly")["activeVersion"] == saved(stack.engine, "nightly")["version"]


async def test_cancel(stack: Stack) -> None:
    """When the engine cancels, what runs ends with that word, and the next up does the rest."""
    async with proxied(stack.client.config.endpoint) as proxy:
        stack.engine.config["flyteform:endpoint"] = proxy.endpoint
        proxy.held = {"CreateWorkflow"}
        running = asyncio.create_task(stack.engine.up())
        await asyncio.wait_for(proxy.arrived.wait(), 60)
        assert stack.engine.running is not None
        await stack.engine.running.cancel()
        cancelled = await asyncio.wait_for(running, 60)
        assert ["cancelled" in text for text in cancelled.errors.values()] == [True]
        proxy.held = set()
        proxy.released.set()
        (await stack.engine.up()).check()
        assert (await stack.engine.up()).check().operations() == {}


IMPORTED = """from flyteform.pulumi import LaunchPlan, Metadata, Policy, Project, Settings, Task, Workflow

{lines}
"""


async def test_what_is_imported_needs_no_change(stack: Stack, tmp_path: Path) -> None:
    """Every kind of resource can be imported, and the program that an import writes plans to nothing."""
    stack.write(FULL)
    (await stack.engine.up()).check()
    stack.engine.folder = tmp_path / "importing"
    wanted = {
        "Project": "acme",
        "Settings": "acme/development/task_resource",
        "Task": "acme/development/tasks.add",
        "Workflow": "acme/development/tasks.total",
        "LaunchPlan": "acme/development/nightly",
        "Policy": "acme/development/nightly",
        "Metadata": "acme/development/task/tasks.add",
    }
    stack.write("")
    for kind, identifier in wanted.items():
        (await stack.engine.import_resource(f"flyteform:index:{kind}", kind.lower(), identifier)).check()
    lines = []
    for each in stack.engine.state.resources:
        given = ", ".join(f"{name}={value!r}" for name, value in each.inputs.items())
        lines.append(f"{each.type.rpartition(':')[2]}({each.name!r}, {given})")
    stack.write(IMPORTED.format(lines="\n".join(lines)))
    same = (await stack.engine.up()).check()
    assert same.operations() == {}
    assert len(same.steps) == 7
    missing = await stack.engine.import_resource("flyteform:index:Task", "nothing", "acme/development/nothing")
    assert "does not exist" in str(missing.errors)
    wrong = await stack.engine.import_resource("flyteform:index:Task", "wrong", "acme")
    assert "write PROJECT/DOMAIN/NAME" in str(wrong.errors)
