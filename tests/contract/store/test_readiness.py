"""A control plane whose database goes away: it lives, it is not ready, and it is ready again when that is back."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped] # ships no types

from flyteform_controlplane.server import ControlPlane
from flyteform_controlplane.settings import ControlPlaneSettings
from flyteform_controlplane.store import notices
from support.cuts import Cutter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

    from flyteform_controlplane.server import Addresses
    from support.postgres import Postgres

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
DEADLINE_SECONDS = 60


@asynccontextmanager
async def running(folder: Path, url: str) -> AsyncIterator[Addresses]:
    """Run a control plane on a database."""
    control_plane = ControlPlane(ControlPlaneSettings(folder, grpc_port=0, http_port=0, database_url=url))
    addresses = await control_plane.start()
    try:
        yield addresses
    finally:
        await control_plane.stop()


async def status(addresses: Addresses, path: str) -> tuple[int, bytes]:
    """Ask by HTTP."""

    def ask() -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(addresses.http + path) as response:  # noqa: S310 - our own server
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    return await asyncio.to_thread(ask)


async def become(addresses: Addresses, *, ready: bool) -> None:
    """Wait until both ways to ask say so; the process itself is well all the time."""
    missing = b'{"ready":false,"waiting_for":["database"]}'
    expected = (200, b'{"ready":true,"waiting_for":[]}') if ready else (503, missing)
    async with grpc.aio.insecure_channel(addresses.grpc) as channel:
        checking = health_pb2_grpc.HealthStub(channel)

        async def said() -> bool:
            questions = [health_pb2.HealthCheckRequest(service=name) for name in ("", "flyteadmin")]
            answers = {(await checking.Check(question)).status for question in questions}
            return await status(addresses, "/readyz") == expected and answers == {SERVING if ready else NOT_SERVING}

        async with asyncio.timeout(DEADLINE_SECONDS):
            while not await said():  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.02)
    assert (await status(addresses, "/healthcheck"))[0] == 200


async def test_readiness_follows_the_database_and_liveness_does_not(
    tmp_path: Path, postgres: Postgres, postgres_url: str
) -> None:
    """Without its database a replica is to get no calls, and a new start of it would mend nothing."""
    async with running(tmp_path, postgres_url) as addresses:
        await become(addresses, ready=True)
        await asyncio.to_thread(postgres.stop)
        try:
            await become(addresses, ready=False)
        finally:
            await asyncio.to_thread(postgres.start)
        await become(addresses, ready=True)


async def test_a_database_that_falls_silent_is_noticed(
    tmp_path: Path, postgres: Postgres, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections that stay open and answer nothing are no database either; each question has its answer at once."""
    monkeypatch.setattr(notices, "_CHECK_SECONDS", 0.1)
    async with Cutter(postgres.port).listening() as wire:
        url = postgres_url.replace(f":{postgres.port}/", f":{wire.port}/")
        async with running(tmp_path, url) as addresses:
            await become(addresses, ready=True)
            wire.stall()
            await become(addresses, ready=False)
            async with asyncio.timeout(5):
                assert (await status(addresses, "/readyz"))[0] == 503
            wire.flow()
            await become(addresses, ready=True)
