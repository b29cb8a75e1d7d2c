"""Web pages and a platform without login: only pages that are served from loopback, or that are named, may call."""

from __future__ import annotations

import asyncio
import http.client
from typing import TYPE_CHECKING

import pytest

from flyteform_controlplane.readiness import Readiness
from flyteform_controlplane.rest.app import http_app
from flyteform_controlplane.transport import ports
from flyteform_controlplane.transport.http_server import HttpServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONSOLE = "https://console.example"


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Serve an application that lets one foreign page in; give its port."""
    listener = ports.listen("127.0.0.1", 0, flag="--http-port")
    app = http_app([], Readiness(), None, version="1", origins=(CONSOLE,))
    server = HttpServer(app, listener)
    await server.start()
    yield listener.getsockname()[1]
    await server.stop()


async def ask(port: int, headers: dict[str, str], verb: str = "GET") -> tuple[int, dict[str, str]]:
    """Return the status and the headers of the answer."""

    def send() -> tuple[int, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request(verb, "/healthcheck", headers=headers)
            response = connection.getresponse()
            response.read()
            return response.status, {name.lower(): value for name, value in response.getheaders()}
        finally:
            connection.close()

    return await asyncio.to_thread(send)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "LOCALHOST:8088", "[::1]:8088", "127.1.2.3"])
async def test_loopback_names_are_answered(port: int, host: str) -> None:
    """A program that calls by any name of loopback is answered."""
    assert (await ask(port, {"Host": host}))[0] == 200


@pytest.mark.parametrize("host", ["attacker.example", "localhost.attacker.example", "127.0.0.1.nip.example", "", "[::"])
async def test_a_rebound_name_is_refused(port: int, host: str) -> None:
    """A name that somebody points to loopback gives no page the right to call."""
    assert (await ask(port, {"Host": host}))[0] == 403


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("origin", ["https://attacker.example", "null", "http://127.0.0.1.attacker.example", ""])
async def test_a_foreign_page_is_refused(port: int, origin: str, verb: str) -> None:
    """A page from elsewhere may neither read nor write."""
    status, headers = await ask(port, {"Origin": origin}, verb)
    assert status == 403
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1:8080", "http://[::1]:1", CONSOLE])
async def test_pages_of_this_machine_and_named_ones_may_call(port: int, origin: str) -> None:
    """A console that is served here, and one that the settings name, may call and read the answer."""
    status, headers = await ask(port, {"Origin": origin})
    assert (status, headers["access-control-allow-origin"]) == (200, origin)
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    assert (await ask(port, asked, "OPTIONS"))[0] == 200
