"""A control plane that asks for a login, and tokens for it, right ones and wrong ones."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import grpc
import grpc.aio
from joserfc import jwt
from joserfc.jwk import RSAKey

from flyteform.proto.flyteform.v1.link_pb2 import FromDataPlane, Register
from flyteform.proto.flyteform.v1.link_pb2_grpc import DataPlaneLinkStub
from flyteform_controlplane.server import Addresses, ControlPlane
from flyteform_controlplane.settings import ControlPlaneSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

_OVERTAKEN = "Internal error from Core"


@dataclass(frozen=True)
class Answer:
    """What HTTP answered; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's JSON."""
        return json.loads(self.body)


@dataclass
class Guarded:
    """A running control plane with login."""

    control_plane: ControlPlane
    addresses: Addresses
    state_dir: Path

    @property
    def key(self) -> RSAKey:
        """Its signing key, as only who may read its files has it."""
        document = json.loads((self.state_dir / "auth" / "signing-keys.json").read_bytes())
        return RSAKey.import_key(document["keys"][0])

    def secret(self, client: str = "flyteform") -> str:
        """Return the secret of a client."""
        return (self.state_dir / "auth" / f"{client}.secret").read_text()

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Claims that are right but for the changes; None takes a claim away."""
        now, url = int(time.time()), self.addresses.http
        claims = {"iss": url, "aud": url, "sub": "somebody", "scope": "all", "iat": now, "exp": now + 60, **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, **changes: Any) -> str:
        """Sign claims by this control plane's own key."""
        key = self.key
        return jwt.encode({"alg": "RS256", "kid": key.kid}, self.claims(**changes), key)

    def cluster_token(self, cluster: str) -> str:
        """Return a token for the data plane of a cluster."""
        return self.control_plane.cluster_token(cluster).text

    async def ask(
        self, verb: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one HTTP request."""
        return await asyncio.to_thread(self._ask, verb, path, body, dict(headers or {}))

    async def exchange(
        self, form: Mapping[str, str], client: str = "", secret: str = "", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask for a token, with the client in the header if one is named."""
        sent = {"content-type": "application/x-www-form-urlencoded", **(headers or {})}
        if client:
            sent["authorization"] = "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()
        return await self.ask("POST", "/oauth2/token", urlencode(form).encode(), sent)

    def _ask(self, verb: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        connection = http.client.HTTPConnection(self.addresses.http.removeprefix("http://"), timeout=20)
        try:
            connection.request(verb, path, body, headers)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()


async def register(channel: grpc.aio.Channel, token: str, cluster: str) -> grpc.StatusCode:
    """Connect as the data plane of a cluster; return OK if it is let in, or what it is refused with."""
    while True:
        stream = DataPlaneLinkStub(channel).Connect(metadata=bearer(token))
        try:
            await stream.write(FromDataPlane(register=Register(cluster=cluster)))
            answer = await stream.read()
            assert answer.WhichOneof("message") == "registered"
        except (grpc.aio.AioRpcError, AttributeError, grpc.aio.UsageError):
            # The client's own word where the server has ended the stream before the message went out.
            if await stream.details() != _OVERTAKEN:
                return await stream.code()
        else:
            return grpc.StatusCode.OK
        finally:
            stream.cancel()


@asynccontextmanager
async def guarded(state_dir: Path, *clusters: str) -> AsyncIterator[Guarded]:
    """Run a control plane with login, and a client for each of the clusters."""
    settings = ControlPlaneSettings(state_dir, grpc_port=0, http_port=0, auth=True, clusters=clusters)
    control_plane = ControlPlane(settings)
    addresses = await control_plane.start()
    try:
        yield Guarded(control_plane, addresses, settings.state_dir)
    finally:
        await control_plane.stop()


def bearer(token: str, key: str = "authorization") -> tuple[tuple[str, str], ...]:
    """Return the metadata of a call with the token."""
    return ((key, f"Bearer {token}"),)
