"""What executions that are over leave in memory."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest

from flyteform_dataplane.engine.state import State
from flyteform_dataplane.runner.execution import Execution
from flyteform_dataplane.runner.journal import Journal
from support.closures import Flow, integers, literals, promise

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from flyteidl.core.literals_pb2 import LiteralMap

    from flyteform_dataplane.ports import AttemptSpec
    from support.world import World

    MakeWorld = Callable[[Callable[[AttemptSpec], LiteralMap]], Awaitable[World]]

_FLOWS = {
    "chain": Flow().task("n0").task("n1", {"x": promise("n0", "o")}, retries=1).returns(r=promise("n1", "o")),
    "cached": Flow().task("n0", cached=True),
    "map": Flow().map("n0", {"x": integers(1, 2, 3)}),
}


@pytest.fixture
def nothing_is_collected() -> Iterator[None]:
    """Keep Python from looking for cycles."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("nothing_is_collected")
@pytest.mark.parametrize("kind", _FLOWS)
async def test_what_is_over_is_freed_at_once(make_world: MakeWorld, kind: str) -> None:
    """Cycles would keep thousands of executions that are over in memory until Python looks for them."""
    world = await make_world(lambda _: literals(o=1))
    await world.execute(_FLOWS[kind].lease())
    await asyncio.sleep(0)  # its task is done, and is let go by the loop
    left = [type(each).__name__ for each in gc.get_objects() if isinstance(each, Execution | Journal | State)]
    assert left == []
