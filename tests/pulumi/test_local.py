"""infra/local by Pulumi's protocol, on the tests' own engine and on the real CLI where it is: the shipped program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flyteidl.core.identifier_pb2 import LAUNCH_PLAN, Identifier
from flyteidl.core.literals_pb2 import Literal, LiteralCollection, Primitive, Scalar

from flyteform.client.admin import AdminClient, connect
from flyteform.client.config import ClientConfig
from flyteform.client.launch import launch, outputs_of
from flyteform.client.watch import watch
from flyteform.provision.desired import Target, declare
from flyteform.provision.model import Kind
from flyteform.types import to_python
from flyteform_local.demo import EXAMPLE
from support.platform import alive, descendants
from support.pulumi.machines import PASSPHRASE, machine
from support.pulumi.stacks import OWN, REAL, has_cli

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

needs_cli = pytest.mark.skipif(not has_cli(), reason="no pulumi on PATH")
ENGINES = [pytest.param(False, id="own-engine"), pytest.param(True, id="real-cli", marks=needs_cli)]
PLACED = "wine/development/wine_training."
TASKS = {f"{PLACED}{each}" for each in ("load", "split", "map_train_3a6eb079", "evaluate")}
ENTITIES = TASKS | {"training", f"{PLACED}train_wine", "every-minute"}


def connected(endpoint: str) -> ClientConfig:
    """Return how to reach a platform."""
    return ClientConfig(endpoint, insecure=True, project="wine", domain="development")


async def train(client: AdminClient, version: str) -> float:
    """Run the example once, on one parameter; return how good the classifier is."""
    plan = Identifier(resource_type=LAUNCH_PLAN, project="wine", domain="development", name="every-minute")
    plan.version = version
    one = Literal(scalar=Scalar(primitive=Primitive(float_value=1.0)))
    given = {"regularizations": Literal(collection=LiteralCollection(literals=[one]))}
    execution = await launch(client, plan, given, name="by-test")
    *_, last = [state async for state in watch(client, execution)]
    assert last.succeeded, last.error
    report = to_python((await outputs_of(client, execution))["o0"], dict)
    return float(report["test_accuracy"])


async def executions(endpoint: str) -> set[str]:
    """Return the names of the executions that a platform remembers."""
    async with connect(connected(endpoint)) as client:
        return {each.id.name async for each in client.list_executions("wine", "development", newest=100)}


def versions_of_the_demo() -> dict[str, str]:
    """Return the versions that `make demo` gives the same definitions."""
    desired = declare(EXAMPLE, Target("wine", "development"))
    return {f"{each.address.kind}/{each.address.name}": each.version for each in desired.entities}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("real", ENGINES)
async def test_the_life_of_a_platform(
    tmp_path: Path, record_property: Callable[[str, object], None], *, real: bool
) -> None:
    """From an empty directory to a trained classifier in one `up`; then nothing to do, a change, a crash, the end."""
    record_property("engine", REAL if real else OWN)
    async with machine(tmp_path, real=real) as local:
        local.ship()
        foreseen = (await local.engine.preview()).check()
        assert foreseen.operations() == dict.fromkeys({"platform", "flyteform", "wine", *ENTITIES}, "create")
        assert not local.state_dir.exists(), "a preview starts nothing"

        made = (await local.engine.up()).check()
        assert made.operations() == foreseen.operations()
        expected = versions_of_the_demo()
        assert made.outputs["workflow"] == expected[f"{Kind.WORKFLOW}/wine_training.train_wine"]
        assert PASSPHRASE.encode() not in local.seen_by_platform, "what opens the state is no business of tasks"
        endpoint = made.outputs["endpoint"]
        async with connect(connected(endpoint)) as client:
            assert await train(client, made.outputs["launch-plan"]) > 0.9
        assert (await local.engine.up()).check().operations() == {}

        source = local.folder / "wine_training.py"
        source.write_text(source.read_text().replace("max_iter=1000", "max_iter=2000"))
        pid = local.pid
        changed = (await local.engine.up()).check()
        assert changed.operations() == dict.fromkeys(ENTITIES, "update"), "in place: no task is replaced"
        assert changed.outputs["workflow"] != made.outputs["workflow"]
        assert local.pid == pid, "the platform is not concerned"

        await local.kill()
        drifted = await local.engine.refresh()
        assert drifted.step("platform").operation == "update"
        assert all("cannot reach" in text for text in drifted.errors.values()), "what is on it cannot be read"
        foreseen = (await local.engine.preview()).check()
        assert foreseen.operations() == {"platform": "update"}
        assert local.holder is None, "a preview starts nothing again"
        again = (await local.engine.up()).check()
        assert again.operations() == {"platform": "update"}
        assert "starts again: it had ended" in again.said
        assert again.outputs == changed.outputs, "also where it serves, by ports that nobody chose"
        assert "by-test" in await executions(endpoint)

        tree = [local.pid, *descendants(local.pid)]
        gone = (await local.engine.destroy()).check()
        assert gone.operations() == dict.fromkeys({"platform", "flyteform", "wine", *ENTITIES}, "delete")
        assert not alive(tree), "nothing is left running"

        local.ship(retainData=False)
        back = (await local.engine.up()).check()
        assert "by-test" in await executions(back.outputs["endpoint"]), "data was retained"
        (await local.engine.destroy()).check()
        assert not local.state_dir.exists(), "and is not retained where it need not be"
