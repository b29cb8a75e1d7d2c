"""A runner among fakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from flyteform_dataplane.ports import AttemptSpec
    from support.world import Result

    Body = Callable[[AttemptSpec], Result]


@pytest.fixture
async def make_world(tmp_path: Path) -> AsyncIterator[Callable[[Body], Awaitable[World]]]:
    """Return what starts a world whose tasks do what a function says."""
    worlds: list[World] = []

    async def make(body: Body) -> World:
        world = World(tmp_path / "dataplane.db", body)
        worlds.append(world)
        await world.runner.start()
        return world

    yield make
    for world in worlds:
        await world.runner.stop()
        await world.executor.kill()
