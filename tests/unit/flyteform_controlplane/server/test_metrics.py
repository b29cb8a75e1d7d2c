"""Metrics of calls, as Prometheus reads them."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest
from flyteidl.admin.project_pb2 import ProjectGetRequest
from flyteidl.service.admin_pb2_grpc import AdminServiceStub
from prometheus_client.parser import text_string_to_metric_families

from flyteform_controlplane import cluster_figures as figures
from flyteform_controlplane.domain.times import now
from flyteform_controlplane.errors import UnavailableError
from flyteform_controlplane.metrics import CONTENT_TYPE, Metrics
from flyteform_controlplane.server import ControlPlane
from flyteform_controlplane.settings import ControlPlaneSettings
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.migrate import migrate
from flyteform_controlplane.store.sql.clusters import Registration, register_cluster
from flyteform_controlplane.transport.calls import Call
from flyteform_controlplane.transport.status import CallError, Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncConnection

METHOD = {"grpc_service": "flyteidl.service.AdminService", "grpc_method": "GetProject"}
CALL = Call("/flyteidl.service.AdminService/GetProject", None, {}, "test")


def value(text: str, name: str, **labels: str) -> float:
    """Return the value of a sample; 0 where there is none."""
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return next((s.value for s in samples if s.name == name and labels.items() <= s.labels.items()), 0.0)


async def test_calls_of_both_transports_count(tmp_path: Path) -> None:
    """A method's calls are counted by code and timed, whether they came by gRPC or by REST, and nothing stays open."""
    control_plane = ControlPlane(ControlPlaneSettings(tmp_path, grpc_port=0, http_port=0))
    addresses = await control_plane.start()

    def ask(path: str) -> tuple[int, str, str]:
        try:
            with urllib.request.urlopen(addresses.http + path) as response:  # noqa: S310 - our own server
                return response.status, response.headers["content-type"], response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, "", ""

    try:
        async with grpc.aio.insecure_channel(addresses.grpc) as channel:
            admin = AdminServiceStub(channel)
            await admin.GetProject(ProjectGetRequest(id="flytesnacks"))
            with pytest.raises(grpc.aio.AioRpcError):
                await admin.GetProject(ProjectGetRequest(id="absent"))
        assert (await asyncio.to_thread(ask, "/api/v1/projects/flytesnacks"))[0] == 200
        assert (await asyncio.to_thread(ask, "/api/v1/projects/absent"))[0] == 404
        status, content_type, text = await asyncio.to_thread(ask, "/metrics")
        assert (status, content_type) == (200, CONTENT_TYPE)
        assert value(text, "grpc_server_handled_total", grpc_code="OK", **METHOD) == 2
        assert value(text, "grpc_server_handled_total", grpc_code="NotFound", **METHOD) == 2
        assert value(text, "grpc_server_handling_seconds_count", **METHOD) == 4
        assert value(text, "grpc_server_in_flight", **METHOD) == 0
        assert value(text, "process_resident_memory_bytes") > 1_000_000
    finally:
        await control_plane.stop()


class Unanswering(Database):
    """A database that begins to answer nothing, or to refuse everything."""

    error: Exception | None = None
    silent = False

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Read as ever, or not."""
        if self.error is not None:
            raise self.error
        if self.silent:
            await asyncio.Event().wait()
        async with super().reading() as tx:
            yield tx


async def test_metrics_come_without_their_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it refuses or falls silent: clusters are left out then, in time, and are there when it is back."""
    monkeypatch.setattr(figures, "_PATIENCE_SECONDS", 0.05)
    time = 0.0
    database = Unanswering(f"sqlite:///{tmp_path}/control.db")
    await migrate(database)
    async with database.transaction() as tx:
        await register_cluster(tx, "east", Registration(labels=(), version="1"), now())
    metrics = Metrics(figures.ClusterFigures(database, monotonic=lambda: time))

    async def state() -> tuple[float, bool]:
        text = (await metrics.scrape()).decode()
        return value(text, "flyteform_cluster_state", cluster="east", state="ready"), "process_open_fds" in text

    assert await state() == (1.0, True)
    database.silent = True
    assert await state() == (1.0, True), "what was read a moment ago is believed"
    time += 10
    assert await state() == (0.0, True)
    database.silent, database.error = False, UnavailableError("gone")
    time += 10
    assert await state() == (0.0, True)
    database.error = None
    time += 10
    assert await state() == (1.0, True)
    await database.close()


async def test_metrics_are_behind_the_login(tmp_path: Path) -> None:
    """Where a login is asked for, metrics are no exception."""
    control_plane = ControlPlane(ControlPlaneSettings(tmp_path, grpc_port=0, http_port=0, auth=True))
    addresses = await control_plane.start()
    try:
        with pytest.raises(urllib.error.HTTPError, match="401") as caught:
            await asyncio.to_thread(urllib.request.urlopen, f"{addresses.http}/metrics")
        caught.value.close()
    finally:
        await control_plane.stop()


async def test_calls_in_flight() -> None:
    """A call counts as open while it is served, and a cancelled one as ended with that code."""
    metrics, begun = Metrics(), asyncio.Event()

    async def wait(_call: Call) -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(metrics.measure(CALL, wait))
    await begun.wait()
    assert value((await metrics.scrape()).decode(), "grpc_server_in_flight", **METHOD) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    text = (await metrics.scrape()).decode()
    assert value(text, "grpc_server_in_flight", **METHOD) == 0
    assert value(text, "grpc_server_handled_total", grpc_code="Cancelled", **METHOD) == 1


async def test_refusals_go_on_to_the_client() -> None:
    """Measuring changes neither an answer nor a refusal, and names codes as dashboards do."""
    metrics = Metrics()

    async def refuse(_call: Call) -> None:
        raise CallError(Status(grpc.StatusCode.FAILED_PRECONDITION, "no"))

    async def answer(_call: Call) -> str:
        return "yes"

    assert await metrics.measure(CALL, answer) == "yes"
    with pytest.raises(CallError, match="no"):
        await metrics.measure(CALL, refuse)
    text = (await metrics.scrape()).decode()
    assert value(text, "grpc_server_handled_total", grpc_code="FailedPrecondition", **METHOD) == 1
