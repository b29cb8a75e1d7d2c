"""Task kinds as the runner starts them: raw containers in maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core.execution_pb2 import WorkflowExecution

from support.closures import Flow, integers, literals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyteidl.core.literals_pb2 import LiteralMap

    from flyteform_dataplane.ports import AttemptSpec
    from support.world import World

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
