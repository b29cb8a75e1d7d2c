"""A whole control plane in this process: addresses, health, restart, refusals, and its end."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import socket
import stat
import time
import urllib.request
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from flyteidl.admin.project_pb2 import Project, ProjectGetRequest, ProjectRegisterRequest
from flyteidl.service.admin_pb2_grpc import AdminServiceStub
from flyteidl.service.dataproxy_pb2 import CreateDownloadLocationRequest, CreateUploadLocationRequest
from flyteidl.service.dataproxy_pb2_grpc import DataProxyServiceStub
from grpc_health.v1 import health_pb2, health_pb2_grpc

from flyteform.errors import ConflictError, FlyteformError, InvalidInputError
from flyteform.proto.flyteform.v1 import link_pb2
from flyteform.proto.flyteform.v1.link_pb2_grpc import DataPlaneLinkStub
from flyteform_controlplane.server import Addresses, ControlPlane
from flyteform_controlplane.settings import ControlPlaneSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

REGISTER = link_pb2.FromDataPlane(register=link_pb2.Register(cluster="here"))


def free_settings(state_dir: Path) -> ControlPlaneSettings:
    """Return settings with ports that are free."""
    return ControlPlaneSettings(state_dir, grpc_port=0, http_port=0)


@asynccontextmanager
async def running(settings: ControlPlaneSettings) -> AsyncIterator[tuple[ControlPlane, Addresses]]:
    """Run a control plane for a while."""
    control_plane = ControlPlane(settings)
    addresses = await control_plane.start()
    try:
        yield control_plane, addresses
    finally:
        await control_plane.stop()


async def health(addresses: Addresses) -> tuple[int, Any]:
    """Ask for the health by HTTP."""

    def ask() -> tuple[int, Any]:
        connection = http.client.HTTPConnection(addresses.http.removeprefix("http://"), timeout=10)
        try:
            connection.request("GET", "/healthcheck")
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


async def test_both_transports_serve_one_platform(tmp_path: Path) -> None:
    """The first project is there by gRPC and by REST, and everything says that it is ready."""
    async with running(free_settings(tmp_path)) as (_, addresses):
        async with grpc.aio.insecure_channel(addresses.grpc) as channel:
            project = await AdminServiceStub(channel).GetProject(ProjectGetRequest(id="flytesnacks"))
            assert {domain.id for domain in project.domains} == {"development", "staging", "production"}
            checking = health_pb2_grpc.HealthStub(channel)
            answer = await checking.Check(health_pb2.HealthCheckRequest(service="flyteadmin"))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert (await health(addresses))[0] == 200
        url = f"{addresses.http}/api/v1/projects/flytesnacks"
        body = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())  # noqa: S310 - our own server
        assert json.loads(body)["id"] == "flytesnacks"


async def test_every_service_is_served(tmp_path: Path) -> None:
    """The methods that data planes and clients call are all there: none answers that it is not implemented."""
    names = {
        "/datacatalog.DataCatalog/GetDataset",
        "/flyteidl.cacheservice.CacheService/Get",
        "/flyteidl.service.AdminService/GetExecution",
        "/flyteidl.service.DataProxyService/GetData",
        "/flyteidl.service.IdentityService/UserInfo",
        "/flyteidl.service.SignalService/SetSignal",
        "/flyteform.v1.EventService/ReportEvents",
    }
    async with running(free_settings(tmp_path)) as (_, addresses), grpc.aio.insecure_channel(addresses.grpc) as channel:
        for name in names:
            try:
                await channel.unary_unary(name)(b"")
            except grpc.aio.AioRpcError as error:
                assert error.code() is not grpc.StatusCode.UNIMPLEMENTED, name  # noqa: PT017 - other refusals are fine


async def test_data_survives_a_restart(tmp_path: Path) -> None:
    """What was written is there after a restart in the same directory, and the signing key is the same."""
    async with running(free_settings(tmp_path)) as (_, addresses), grpc.aio.insecure_channel(addresses.grpc) as channel:
        await AdminServiceStub(channel).RegisterProject(ProjectRegisterRequest(project=Project(id="mine", name="mine")))
    key = (tmp_path / "signing.key").read_bytes()
    async with running(free_settings(tmp_path)) as (_, addresses), grpc.aio.insecure_channel(addresses.grpc) as channel:
        assert (await AdminServiceStub(channel).GetProject(ProjectGetRequest(id="mine"))).name == "mine"
    assert (tmp_path / "signing.key").read_bytes() == key
    assert stat.S_IMODE((tmp_path / "signing.key").stat().st_mode) == 0o600


async def test_upload_and_download_as_a_client_does(tmp_path: Path) -> None:
    """A client asks for a location, puts the content there with the headers that it was told, and gets it back."""
    content = b"bundle" * 1000
    digest = hashlib.md5(content, usedforsecurity=False).digest()
    async with running(free_settings(tmp_path)) as (_, addresses), grpc.aio.insecure_channel(addresses.grpc) as channel:
        proxy = DataProxyServiceStub(channel)
        upload = await proxy.CreateUploadLocation(
            CreateUploadLocationRequest(project="flytesnacks", domain="development", filename="f", content_md5=digest)
        )
        put = urllib.request.Request(upload.signed_url, content, dict(upload.headers), method="PUT")  # noqa: S310 - ours
        assert (await asyncio.to_thread(lambda: urllib.request.urlopen(put).status)) == 200  # noqa: S310 - ours
        location = await proxy.CreateDownloadLocation(CreateDownloadLocationRequest(native_url=upload.native_url))
        url = location.signed_url
        assert await asyncio.to_thread(lambda: urllib.request.urlopen(url).read()) == content  # noqa: S310 - ours


async def test_an_embedded_platform_waits_for_its_data_plane(tmp_path: Path) -> None:
    """Where a data plane is needed, the platform is ready while one is connected, and not before or after."""
    settings = ControlPlaneSettings.embedded(tmp_path, host="127.0.0.1", grpc_port=0, http_port=0)
    async with running(settings) as (control_plane, addresses):
        assert await health(addresses) == (503, {"ready": False, "waiting_for": ["data plane"]})
        async with grpc.aio.insecure_channel(addresses.grpc) as channel:
            stream = DataPlaneLinkStub(channel).Connect()
            await stream.write(REGISTER)
            await asyncio.wait_for(control_plane.wait_until_ready(), 10)
            assert (await health(addresses))[0] == 200
            stream.cancel()
            async with asyncio.timeout(10):
                while (await health(addresses))[0] != 503:  # noqa: ASYNC110 - another process' view
                    await asyncio.sleep(0.01)


@pytest.mark.parametrize("flag", ["--grpc-port", "--http-port"])
async def test_a_port_in_use_is_named(tmp_path: Path, flag: str) -> None:
    """A port that somebody uses is refused with its number and the flag that chooses another; nothing stays open."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ports = {"--grpc-port": (port, 0), "--http-port": (0, port)}[flag]
        settings = ControlPlaneSettings(tmp_path, grpc_port=ports[0], http_port=ports[1])
        with pytest.raises(ConflictError, match=f"port {port} on 127.0.0.1 is in use") as caught:
            await ControlPlane(settings).start()
        assert flag in str(caught.value.remedy)


async def test_a_second_control_plane_cannot_share_ports(tmp_path: Path) -> None:
    """Two control planes never listen on one port."""
    async with running(free_settings(tmp_path / "one")) as (_, addresses):
        port = int(addresses.grpc.rpartition(":")[2])
        with pytest.raises(ConflictError, match=str(port)):
            await ControlPlane(ControlPlaneSettings(tmp_path / "two", grpc_port=port, http_port=0)).start()


async def test_the_end_is_quick_with_open_streams(tmp_path: Path) -> None:
    """A connected data plane and an upload in its middle do not hold the end up for 2 s."""
    control_plane = ControlPlane(free_settings(tmp_path))
    addresses = await control_plane.start()
    async with grpc.aio.insecure_channel(addresses.grpc) as channel:
        stream = DataPlaneLinkStub(channel).Connect()
        await stream.write(REGISTER)
        await stream.read()
        location = await DataProxyServiceStub(channel).CreateUploadLocation(
            CreateUploadLocationRequest(project="p", domain="d", filename="f", filename_root="r")
        )
        path = location.signed_url.removeprefix(addresses.http)
        reader, writer = await asyncio.open_connection(*addresses.http.removeprefix("http://").split(":"))
        writer.write(f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf".encode())
        await writer.drain()
        started = time.monotonic()
        await control_plane.stop()
        assert time.monotonic() - started < 2
        await reader.read()
        writer.close()


async def test_a_stop_may_be_repeated(tmp_path: Path) -> None:
    """Stopping twice, or without a start, is no error."""
    control_plane = ControlPlane(free_settings(tmp_path))
    await control_plane.stop()
    await control_plane.start()
    await control_plane.stop()
    await control_plane.stop()


async def test_a_state_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """A state directory below a file is refused with the flag."""
    (tmp_path / "file").touch()
    with pytest.raises(FlyteformError, match="state directory") as caught:
        await ControlPlane(free_settings(tmp_path / "file" / "state")).start()
    assert "--state-dir" in str(caught.value.remedy)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "::", "example.org", ""])  # noqa: S104 - what is refused
def test_other_hosts_are_refused(tmp_path: Path, host: str) -> None:
    """Without login only this machine is served."""
    with pytest.raises(InvalidInputError, match="no login"):
        ControlPlaneSettings(tmp_path, host=host)


async def test_with_a_login_every_address_is_served(tmp_path: Path) -> None:
    """All addresses of the machine are listened on; clients are told one that reaches it, or the public one."""
    settings = ControlPlaneSettings(tmp_path, host="0.0.0.0", grpc_port=0, http_port=0, auth=True)  # noqa: S104 - meant
    async with running(settings) as (_, addresses):
        assert "0.0.0.0" not in addresses.grpc + addresses.http  # noqa: S104 - compared
        port = addresses.http.rpartition(":")[2]
        local = Addresses(addresses.grpc, f"http://127.0.0.1:{port}")
        assert (await health(local))[0] == 200
    public = ControlPlaneSettings(tmp_path, grpc_port=0, http_port=0, auth=True, public_url="https://flyte.example")
    async with running(public) as (_, addresses):
        assert addresses.http == "https://flyte.example"


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"clusters": ("../up",)}, "--cluster"),
        ({"clusters": ("",)}, "--cluster"),
        ({"public_url": "flyte.example"}, "--public-url"),
        ({"public_url": "ftp://flyte.example"}, "--public-url"),
        ({"public_url": "https://flyte.example/path"}, "--public-url"),
    ],
)
def test_wrong_settings_of_the_login_are_named(tmp_path: Path, setting: dict[str, Any], reason: str) -> None:
    """A name that is no file's, and an address that is none, are refused before anything is made."""
    with pytest.raises(InvalidInputError, match=reason):
        ControlPlaneSettings(tmp_path, auth=True, **setting)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_is_accepted(tmp_path: Path, host: str) -> None:
    """Every loopback address will do."""
    assert ControlPlaneSettings(tmp_path, host=host).host == host


def test_wrong_ports_are_refused(tmp_path: Path) -> None:
    """Numbers that are no port, and one port for both transports, are refused before anything starts."""
    for port in (-1, 65536):
        with pytest.raises(InvalidInputError, match="--grpc-port"):
            ControlPlaneSettings(tmp_path, grpc_port=port)
    with pytest.raises(InvalidInputError, match="share port 9000"):
        ControlPlaneSettings(tmp_path, grpc_port=9000, http_port=9000)


async def test_a_damaged_key_is_refused(tmp_path: Path) -> None:
    """A signing key that is not whole is an error that names its file, never a weak key."""
    (tmp_path / "signing.key").write_bytes(b"short")
    with pytest.raises(InvalidInputError, match=r"signing\.key"):
        await ControlPlane(free_settings(tmp_path)).start()
