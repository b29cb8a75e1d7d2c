"""The embedded platform: the control plane in this process, the data plane in a child, one state directory."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteform_controlplane.server import ControlPlane
from flyteform_controlplane.settings import ControlPlaneSettings
from flyteform_dataplane.process.images import parse_rule
from flyteform_local.dataplane import DataPlaneProcess
from flyteform_local.errors import PlatformError
from flyteform_local.state import Addresses, hold, write_addresses

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

READY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class PlatformOptions:
    """What `flyteform dev` and `flyteform demo` may be told; a port of 0 picks a free one."""

    state_dir: Path
    host: str = "127.0.0.1"
    grpc_port: int = 0
    http_port: int = 0
    images: tuple[str, ...] = ()


@asynccontextmanager
async def running_platform(options: PlatformOptions) -> AsyncIterator[Addresses]:
    """Run the platform for as long as the block lasts; when it begins, every part is ready.

    Raise `StateDirectoryInUseError`, or a `FlyteformError` that names the port, the address or the image rule at fault.
    """
    for image in options.images:
        parse_rule(image)  # the data plane reads them again; what is wrong is said here, before anything starts
    with hold(options.state_dir) as state_dir:
        settings = ControlPlaneSettings.embedded(
            state_dir, host=options.host, grpc_port=options.grpc_port, http_port=options.http_port
        )
        control_plane = ControlPlane(settings)
        listening = await control_plane.start()
        try:
            data_plane = DataPlaneProcess(
                state_dir,
                control_plane=listening.grpc,
                objects=settings.objects_prefix,
                images=options.images,
            )
            await data_plane.start()
            try:
                await _until_ready(control_plane)
                addresses = Addresses(grpc=listening.grpc, http=listening.http, pid=os.getpid())
                write_addresses(state_dir, addresses)
                yield addresses
            finally:
                await data_plane.stop()
        finally:
            await control_plane.stop()


async def _until_ready(control_plane: ControlPlane) -> None:
    try:
        await asyncio.wait_for(control_plane.wait_until_ready(), READY_SECONDS)
    except TimeoutError as error:
        raise PlatformError(
            f"the data plane did not report within {READY_SECONDS:.0f} s",
            remedy="its messages are above; start again, and report it if it happens again",
        ) from error
