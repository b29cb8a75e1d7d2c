"""Task kinds as the runner starts them: raw containers in maps, and pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


async def test_a_pod_is_held_to_the_limits_of_its_lease(tmp_path: Path) -> None:
    """What the platform lets tasks have when the execution is leased counts, not what was registered."""
    asked: list[AttemptSpec | PodRequest] = []

    def body(spec: AttemptSpec | PodRequest) -> LiteralMap:
        asked.append(spec)
        return literals(o=1)

    world = World(tmp_path / "dataplane.db", body, RunnerConfig(plugins=Registry((PodPlugin(),))))
    await world.runner.start()
    try:
        lease = Flow().task("n0").lease()
        lease.task_resources.limits.cpu = "4"
        for task in lease.closure.tasks:  # the executor of these tests looks there for where outputs go
            task.template.container.command[:] = task.template.container.args
        assert (await world.execute(lease)).workflow == WorkflowExecution.SUCCEEDED
    finally:
        await world.runner.stop()
    (request,) = asked
    assert isinstance(request, PodRequest)
    assert request.platform == lease.task_resources
