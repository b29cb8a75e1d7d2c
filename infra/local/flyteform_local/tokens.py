"""The token of the embedded data plane: written before it starts, and renewed while the platform runs."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from flyteform_controlplane.auth.files import write_private

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from flyteform_controlplane.server import ControlPlane

TOKEN_NAME = "dataplane.token"  # noqa: S105 - a file's name
CLUSTER = "embedded"


@asynccontextmanager
async def renewed_token(control_plane: ControlPlane, state_dir: Path) -> AsyncGenerator[Path]:
    """Keep a valid token in a file that only this user may read, for as long as the block lasts."""
    path = state_dir / TOKEN_NAME
    keeper = asyncio.create_task(_renew(control_plane, path, _write(control_plane, path)), name="data plane's token")
    try:
        yield path
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper
        path.unlink(missing_ok=True)


async def _renew(control_plane: ControlPlane, path: Path, lifetime: float) -> None:
    while True:
        # At half of its life: time enough for a clock that jumps or a machine that slept.
        await asyncio.sleep(lifetime / 2)
        lifetime = _write(control_plane, path)


def _write(control_plane: ControlPlane, path: Path) -> float:
    token = control_plane.cluster_token(CLUSTER)
    write_private(path, token.text.encode())
    return token.expires_in
