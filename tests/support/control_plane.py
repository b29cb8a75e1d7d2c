"""A control plane of its own for a test, in the test's event loop, and a client of it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from flyteform.client.admin import connect
from flyteform.client.config import ClientConfig
from flyteform_controlplane.server import ControlPlane
from flyteform_controlplane.settings import ControlPlaneSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flyteform.client.admin import AdminClient


@asynccontextmanager
async def control_plane(folder: Path, *, stock: bool = False) -> AsyncIterator[AdminClient]:
    """Run it with its data below `folder` for the length of the block; no data plane belongs to it.

    With `stock` it serves FlyteIDL alone, as a stock FlyteAdmin does.
    """
    running = ControlPlane(ControlPlaneSettings(state_dir=folder / "platform", grpc_port=0, http_port=0, stock=stock))
    addresses = await running.start()
    try:
        async with connect(ClientConfig(addresses.grpc, insecure=True, http=addresses.http)) as client:
            yield client
    finally:
        await running.stop()
