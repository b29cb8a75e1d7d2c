"""Task kinds as the runner starts them: raw containers in maps, and pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flyteidl.core.execution_pb2 import WorkflowExecution

from flyteform_dataplane.kubernetes.plugin import PodPlugin
from flyteform_dataplane.plugins.registry import Registry
from flyteform_dataplane.ports import PodRequest
from flyteform_dataplane.runner import RunnerConfig
from support.closures import Flow, integers, literals
from support.world import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from flyteidl.core.literals_pb2 import LiteralMap

    from flyteform.proto.flyteform.v1.link_pb2 import Lease
    from flyteform_dataplane.ports import AttemptSpec

    MakeWorld = Callable[[Callable[[AttemptSpec], LiteralMap]], Awaitable[World]]


async def test_each_item_of_a_raw_container_has_its_own_inputs(make_world: MakeWorld) -> None:
    """Its command gets one value of the list, not the list."""
    seen = []
    worlds: list[World] = []

    def body(spec: AttemptSpec) -> LiteralMap:
        assert spec.copying is not None
        seen.append(worlds[0].store.literals(spec.copying.inputs_uri))
        return literals(o=1)

    worlds.append(await make_world(body))
    lease = Flow().map("n0", {"x": integers(4, 5)}).lease()
    for task in lease.closure.tasks:
        task.template.container.data_config.enabled = True
    assert (await worlds[0].execute(lease)).workflow == WorkflowExecution.SUCCEEDED
    assert sorted(seen, key=str) == [literals(x=4), literals(x=5)]


async def run(world: World, lease: Lease) -> None:
    """Have a world run an execution of pods to its end."""
    await world.runner.start()
    try:
        for task in lease.closure.tasks:  # the executor of these tests looks there for where outputs go
            task.template.container.command[:] = task.template.container.args
        assert (await world.execute(lease)).workflow == WorkflowExecution.SUCCEEDED
    finally:
        await world.runner.stop()


async def test_a_task_knows_its_page_in_the_console(tmp_path: Path) -> None:
    """The address is Flyte's, of its own node; without a console there is none."""
    for console, page in (
        ("https://flyte.example.org/console/", "/projects/p/domains/d/executions/e/nodeId/n0/nodes"),
        ("", ""),
    ):
        asked: list[AttemptSpec | PodRequest] = []

        def body(spec: AttemptSpec | PodRequest, asked: list[AttemptSpec | PodRequest] = asked) -> LiteralMap:
            asked.append(spec)
            return literals(o=1)

        config = RunnerConfig(plugins=Registry((PodPlugin(),)), console_url=console)
        await run(World(tmp_path / f"{bool(console)}.db", body, config), Flow().task("n0").lease())
        assert asked[0].environment.get("FLYTE_EXECUTION_URL", "") == console.rstrip("/") + page


@pytest.mark.parametrize("finalize", [True, False])
async def test_what_an_execution_leaves_goes_where_nothing_is_kept(tmp_path: Path, *, finalize: bool) -> None:
    """When all is told, so that a crash finds what it needs until then."""
    config = RunnerConfig(plugins=Registry((PodPlugin(),)), finalize=finalize)
    world = World(tmp_path / "dataplane.db", lambda _: literals(o=1), config)
    ended: list[tuple[str, bool]] = []

    async def end(execution: str) -> None:
        ended.append((execution, world.reporter.rows["e"].workflow == WorkflowExecution.SUCCEEDED))

    world.executor.end = end  # type: ignore[method-assign]
    await run(world, Flow().task("n0").lease())
    assert ended == [("p/d/e", True)] * finalize


async def test_a_pod_is_held_to_the_limits_of_its_lease(tmp_path: Path) -> None:
    """What the platform lets tasks have when the execution is leased counts, not what was registered."""
    asked: list[AttemptSpec | PodRequest] = []

    def body(spec: AttemptSpec | PodRequest) -> LiteralMap:
        asked.append(spec)
        return literals(o=1)

    world = World(tmp_path / "dataplane.db", body, RunnerConfig(plugins=Registry((PodPlugin(),))))
    lease = Flow().task("n0").lease()
    lease.task_resources.limits.cpu = "4"
    await run(world, lease)
    (request,) = asked
    assert isinstance(request, PodRequest)
    assert request.platform == lease.task_resources
