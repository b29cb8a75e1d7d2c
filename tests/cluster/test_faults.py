"""Whatever happens to operators, connections and the API server: every execution ends right, and no pod is left."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from typing import TYPE_CHECKING, Any

import pytest
from flyteidl.core.execution_pb2 import WorkflowExecution

from support.cuts import Cutter
from support.kubernetes import kubectl
from support.operators import NAMESPACE, Operators, chain, wide

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform.proto.flyteform.v1.link_pb2 import Lease
    from support.leasing import LeasingControl
    from support.simulated import Simulated

logger = logging.getLogger(__name__)

SUCCEEDED, FAILED = WorkflowExecution.SUCCEEDED, WorkflowExecution.FAILED
KILLS = 30
PATIENCE = 180.0


class World:
    """Executions of every kind that is needed here, and what must hold of them in the end."""

    def __init__(self, operators: Operators, control: LeasingControl) -> None:
        self.operators = operators
        self.control = control
        self.expected: dict[str, int] = {}

    def offer(self, count: int) -> None:
        """Lease so many more: chains, wide ones, and some whose pods fail, with pods that take a little."""
        leases = []
        for number in range(len(self.expected), len(self.expected) + count):
            kind = number % 4
            flow = wide(4) if kind == 1 else chain(3)
            lease = self._lease(f"e{number}", flow, failing=kind == 3)
            self.expected[lease.id.name] = FAILED if kind == 3 else SUCCEEDED
            leases.append(lease)
        self.control.offer(leases)

    def _lease(self, name: str, flow: Any, *, failing: bool) -> Lease:
        lease = self.operators.lease(flow, name)
        lease.spec.annotations.values["simulated/seconds"] = "500ms"
        if failing:
            lease.spec.annotations.values["simulated/exit-code"] = "3"
        return lease

    async def check(self) -> None:
        """Wait for all ends: each told once and right, all resources done with, no pod running, none started twice."""
        await self.control.until_ended(self.expected, PATIENCE)
        assert self.control.ends == {name: [phase] for name, phase in self.expected.items()}
        items = json.loads(kubectl("get", "flyteworkflows", f"--namespace={NAMESPACE}", "--output=json"))["items"]
        assert {item["metadata"]["name"] for item in items} == set(self.expected)
        for item in items:
            assert "termination-status" in item["metadata"]["labels"]
            assert not item["metadata"].get("finalizers")
        pods = json.loads(kubectl("get", "pods", f"--namespace={NAMESPACE}", "--output=json"))["items"]
        running = [pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] in ("Pending", "Running")]
        assert not running, f"left running: {running}"
        # A task that succeeded has one pod, that of its first attempt.
        first = [
            f"{name}-n{node}-0" for name, phase in self.expected.items() if phase == SUCCEEDED for node in range(3)
        ]
        names = {pod["metadata"]["name"] for pod in pods}
        assert set(first) <= names
        again = [name for name in names if not name.endswith("-0") and self.expected[name.split("-")[0]] == SUCCEEDED]
        assert not again, f"ran again: {again}"


@pytest.fixture
def world(operators: Operators, control: LeasingControl) -> World:
    """Return executions for operators that are yet to start."""
    return World(operators, control)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [7])
async def test_operators_killed_at_random_moments(world: World, seed: int) -> None:
    """Two operators share the work; thirty times one of them is killed, and another one comes in its place."""
    source = random.Random(seed)  # noqa: S311 - the same moments each time
    names = ["left", "right"]
    for name in names:
        world.operators.start(identity=name)
    world.offer(8)
    for kill in range(KILLS):
        # The moment is what is random here: nothing is waited for.
        await asyncio.sleep(source.uniform(0.2, 3.0))
        world.offer(1)
        which = source.randrange(2)
        victim = world.operators.running[which]
        await asyncio.to_thread(world.operators.kill, victim)
        # Mostly its pod is started again under its name; now and then it is another pod, and the lease has to run out.
        if kill % 10 == 9:
            names[which] = f"another-{kill}"
        world.operators.start(identity=names[which])
        names = [*names[:which], *names[which + 1 :], names[which]]
    await world.check()


@pytest.mark.timeout(400)
async def test_connections_are_cut(world: World, cluster: Simulated, control: LeasingControl, tmp_path: Path) -> None:
    """Watches and requests break off in their middle, again and again: nothing is missed and nothing is done twice."""
    source = random.Random(3)  # noqa: S311 - the same moments each time
    async with Cutter(cluster.api_port).listening() as cutter:
        config = cluster.kubeconfig_through(cutter.port, tmp_path / "cut.kubeconfig")
        (tmp_path / "cut").mkdir()
        operators = Operators(tmp_path / "cut", control.address, kubeconfig=config)
        world.operators = operators
        operators.start()
        try:
            for _ in range(20):
                world.offer(1)
                await asyncio.sleep(source.uniform(0.1, 0.8))
                cutter.cut()
            await world.check()
        finally:
            await asyncio.to_thread(operators.stop)
            logger.info("\n".join(operators.said()))
        assert cutter.connections > 20


@pytest.mark.timeout(400)
async def test_the_api_server_is_restarted(world: World, cluster: Simulated) -> None:
    """It is away for seconds, twice, in the middle of everything."""
    for _ in range(2):
        world.operators.start()
    world.offer(6)
    for _ in range(2):
        await asyncio.sleep(3)
        world.offer(4)
        await asyncio.to_thread(cluster.restart_api_server)
    await world.check()


@pytest.mark.timeout(400)
async def test_others_write_the_same_objects(world: World) -> None:
    """Somebody changes the resources and the pods all the time: conflicts are no failures."""
    world.operators.start()
    world.offer(12)

    async def meddle() -> None:
        number = 0
        while True:
            number += 1
            for kind in ("flyteworkflows", "pods"):
                arguments = (kind, "--all", f"--namespace={NAMESPACE}", f"meddled={number}", "--overwrite")
                await asyncio.to_thread(_try_kubectl, "annotate", *arguments)

    meddling = asyncio.create_task(meddle())
    try:
        await world.check()
    finally:
        meddling.cancel()
        await asyncio.gather(meddling, return_exceptions=True)


def _try_kubectl(*arguments: str) -> None:
    try:
        kubectl(*arguments)
    except AssertionError as error:  # there may be none yet, or one may just be gone
        logger.debug("%s", error)
