"""The embedded platform: the control plane in this process, the data plane in a child, one state directory."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from flyteform_controlplane.auth.clients import USER_CLIENT, secret_file
from flyteform_controlplane.auth.files import DIRECTORY
from flyteform_controlplane.server import ControlPlane
from flyteform_controlplane.settings import ControlPlaneSettings
from flyteform_dataplane.connectors.endpoints import parse_endpoint
from flyteform_dataplane.engine.graph import Deadlines
from flyteform_dataplane.process.images import parse_rule
from flyteform_local.dataplane import DataPlaneProcess
from flyteform_local.errors import PlatformError
from flyteform_local.state import Addresses, hold, write_addresses
from flyteform_local.tokens import renewed_token

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

# A busy machine takes a minute for what takes an idle one two seconds; a data plane that ends is said at once.
READY_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class PlatformOptions:
    """What `flyteform dev` and `flyteform demo` may be told; a port of 0 picks a free one."""

    state_dir: Path
    host: str = "127.0.0.1"
    grpc_port: int = 0
    http_port: int = 0
    images: tuple[str, ...] = ()
    connectors: tuple[str, ...] = ()
    deadlines: Deadlines = field(default_factory=Deadlines)
    auth: bool = False
    # For whom it runs, if not for whoever started it by hand: a resource of a stack.
    owner: str = ""
    # What else the control plane is set to: further arguments of its settings.
    control_plane: Mapping[str, Any] = field(default_factory=dict)


@asynccontextmanager
async def running_platform(options: PlatformOptions) -> AsyncGenerator[Addresses]:
    """Run the platform for as long as the block lasts; when it begins, every part is ready.

    Raise `StateDirectoryInUseError`, or a `FlyteformError` that names the port, the address or the image rule at fault.
    """
    for image in options.images:
        parse_rule(image)  # the data plane reads them again; what is wrong is said here, before anything starts
    for connector in options.connectors:
        parse_endpoint(connector)
    with hold(options.state_dir, options.owner) as state_dir:
        settings = ControlPlaneSettings.embedded(
            state_dir,
            host=options.host,
            grpc_port=options.grpc_port,
            http_port=options.http_port,
            auth=options.auth,
            **options.control_plane,
        )
        control_plane = ControlPlane(settings)
        async with AsyncExitStack() as stack:
            listening = await control_plane.start()
            stack.push_async_callback(control_plane.stop)
            token_file = None
            if options.auth:
                token_file = await stack.enter_async_context(renewed_token(control_plane, state_dir))
            data_plane = DataPlaneProcess(
                state_dir,
                control_plane=listening.grpc,
                objects=settings.objects_prefix,
                images=options.images,
                connectors=options.connectors,
                deadlines=options.deadlines,
                token_file=token_file,
            )
            await data_plane.start()
            stack.push_async_callback(data_plane.stop)
            await _until_ready(control_plane)
            addresses = Addresses(
                listening.grpc, listening.http, os.getpid(), version=version("flyteform"), **_login(settings)
            )
            write_addresses(state_dir, addresses)
            yield addresses


def _login(settings: ControlPlaneSettings) -> dict[str, str]:
    """Say how clients on this machine log in."""
    if not settings.auth:
        return {}
    secret = secret_file(settings.state_dir / DIRECTORY, USER_CLIENT)
    return {"client_id": USER_CLIENT, "client_secret_file": str(secret)}


async def _until_ready(control_plane: ControlPlane) -> None:
    try:
        async with asyncio.timeout(READY_SECONDS):
            await control_plane.wait_until_ready()
    except TimeoutError as error:
        raise PlatformError(
            f"the data plane did not report within {READY_SECONDS:.0f} s",
            remedy="its messages are above; start again, and report it if it happens again",
        ) from error
