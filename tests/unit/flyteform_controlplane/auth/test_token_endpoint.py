"""The token endpoint over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc.aio
import pytest
from flyteidl.service.auth_pb2 import OAuth2MetadataRequest, PublicClientAuthConfigRequest
from flyteidl.service.auth_pb2_grpc import AuthMetadataServiceStub

from flyteform_controlplane.server import ControlPlane
from flyteform_controlplane.settings import ControlPlaneSettings
from support.login import Guarded, guarded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Guarded]:
    """Give a control plane with login."""
    async with guarded(tmp_path) as running:
        yield running


async def test_a_client_gets_a_token_either_way(platform: Guarded) -> None:
    """Secret in the header or in the body: the token works, and no cache may keep the answer."""
    secret = platform.secret()
    by_header = await platform.exchange({**GRANT, "scope": "all"}, "flyteform", secret)
    by_body = await platform.exchange({**GRANT, "client_id": "flyteform", "client_secret": secret})
    for answer in (by_header, by_body):
        assert answer.status == 200
        assert answer.headers["cache-control"] == "no-store"
        assert (answer.json["token_type"], answer.json["expires_in"], answer.json["scope"]) == ("bearer", 1800, "all")
        me = await platform.ask("GET", "/me", headers={"authorization": f"Bearer {answer.json['access_token']}"})
        assert (me.status, me.json["subject"]) == (200, "flyteform")


async def test_wrong_requests_are_refused_as_the_standard_says(platform: Guarded) -> None:
    """Each mistake has its error of RFC 6749, and no answer repeats the secret."""
    secret = platform.secret()
    form = "application/x-www-form-urlencoded"
    cases = [
        (await platform.exchange(GRANT, "flyteform", "wrong"), 401, "invalid_client"),
        (await platform.exchange(GRANT, "flyteform", "foobar"), 401, "invalid_client"),
        (await platform.exchange(GRANT, "nobody", secret), 401, "invalid_client"),
        (await platform.exchange(GRANT), 401, "invalid_client"),
        (await platform.exchange(GRANT, headers={"authorization": f"Bearer {secret}"}), 401, "invalid_client"),
        (await platform.exchange(GRANT, headers={"authorization": "Basic !"}), 401, "invalid_client"),
        (await platform.exchange({**GRANT, "client_secret": secret}, "flyteform", secret), 400, "invalid_request"),
        (await platform.exchange({"grant_type": "password"}, "flyteform", secret), 400, "unsupported_grant_type"),
        (await platform.exchange({}, "flyteform", secret), 400, "unsupported_grant_type"),
        (await platform.exchange({**GRANT, "scope": "admin"}, "flyteform", secret), 400, "invalid_scope"),
        (await platform.exchange({**GRANT, "audience": "https://x"}, "flyteform", secret), 400, "invalid_target"),
        (await platform.exchange(GRANT, headers={"content-type": "text/plain"}), 400, "invalid_request"),
        (await platform.exchange({**GRANT, "x": "y" * 20_000}), 400, "invalid_request"),
        (
            await platform.ask("POST", "/oauth2/token", b"grant_type=a&grant_type=b", {"content-type": form}),
            400,
            "invalid_request",
        ),
        (await platform.ask("POST", "/oauth2/token", b"\xff=1", {"content-type": form}), 400, "invalid_request"),
    ]
    for answer, status, error in cases:
        assert (answer.status, answer.json["error"]) == (status, error)
        assert secret.encode() not in answer.body
        assert answer.headers["cache-control"] == "no-store"
        assert (status == 401) == ("www-authenticate" in answer.headers)
    assert (await platform.ask("GET", "/oauth2/token")).status == 404


async def test_clients_learn_how_to_log_in_without_a_token(platform: Guarded) -> None:
    """Both metadata methods answer over gRPC and REST what flytekit's and flytectl's flows read."""
    url = platform.addresses.http
    async with grpc.aio.insecure_channel(platform.addresses.grpc) as channel:
        stub = AuthMetadataServiceStub(channel)  # type: ignore[no-untyped-call] # flyteidl's stubs have no types
        metadata = await stub.GetOAuth2Metadata(OAuth2MetadataRequest())
        public = await stub.GetPublicClientConfig(PublicClientAuthConfigRequest())
    assert (metadata.issuer, metadata.token_endpoint) == (url, f"{url}/oauth2/token")
    assert metadata.grant_types_supported == ["client_credentials"]
    assert (public.authorization_metadata_key, public.scopes) == ("flyte-authorization", ["all"])
    assert (public.audience, public.service_http_endpoint) == (url, url)
    document = (await platform.ask("GET", "/.well-known/oauth-authorization-server")).json
    assert (document["token_endpoint"], document["jwks_uri"]) == (metadata.token_endpoint, metadata.jwks_uri)
    assert (await platform.ask("GET", "/config/v1/flyte_client")).json["client_id"] == "flyteform"
    keys = (await platform.ask("GET", metadata.jwks_uri.removeprefix(url))).json["keys"]
    assert [key["kid"] for key in keys] == [platform.key.kid]
    assert "d" not in keys[0]


async def test_without_a_login_the_same_methods_say_so(tmp_path: Path) -> None:
    """A platform without login answers both, and who calls: no token endpoint, the same user for everybody."""
    control_plane = ControlPlane(ControlPlaneSettings(tmp_path, grpc_port=0, http_port=0))
    open_platform = Guarded(control_plane, await control_plane.start(), tmp_path)
    try:
        assert (await open_platform.ask("GET", "/.well-known/oauth-authorization-server")).json["token_endpoint"] == ""
        assert (await open_platform.ask("GET", "/config/v1/flyte_client")).json["client_id"] == ""
        assert (await open_platform.ask("GET", "/me")).json["subject"] == "anonymous"
        assert (await open_platform.exchange(GRANT)).status == 404
        assert not (tmp_path / "auth").exists()
    finally:
        await control_plane.stop()
