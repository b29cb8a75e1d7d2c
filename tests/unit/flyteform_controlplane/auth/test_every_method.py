"""No method and no path answers without a token."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from flyteidl.service.dataproxy_pb2 import CreateDownloadLocationRequest, CreateUploadLocationRequest
from flyteidl.service.dataproxy_pb2_grpc import DataProxyServiceStub
from google.protobuf import descriptor_pool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from joserfc import jwt
from joserfc.jwk import RSAKey

from support.login import Guarded, bearer, guarded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from google.protobuf.descriptor import MethodDescriptor

OPEN = {"GetOAuth2Metadata", "GetPublicClientConfig"}
OPEN_PATHS = {"/.well-known/oauth-authorization-server", "/config/v1/flyte_client"}
INFRASTRUCTURE = ("grpc.",)  # health and reflection


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Guarded]:
    """Give a control plane with login."""
    async with guarded(tmp_path) as running:
        yield running


async def registered(platform: Guarded) -> list[MethodDescriptor]:
    """Ask the server itself which methods it has."""

    def ask() -> list[str]:
        with grpc.insecure_channel(platform.addresses.grpc) as channel:
            return list(ProtoReflectionDescriptorDatabase(channel).get_services())

    names = [name for name in await asyncio.to_thread(ask) if not name.startswith(INFRASTRUCTURE)]
    pool = descriptor_pool.Default()
    return [method for name in names for method in pool.FindServiceByName(name).methods]


async def code_of(
    channel: grpc.aio.Channel, method: MethodDescriptor, metadata: tuple[tuple[str, str], ...] = ()
) -> grpc.StatusCode:
    """Call the method with an empty request, or none where they are a stream; return how that ends."""
    name = f"/{method.containing_service.full_name}/{method.name}"
    request = GetMessageClass(method.input_type)()
    codecs: dict[str, Any] = {
        "request_serializer": type(request).SerializeToString,
        "response_deserializer": GetMessageClass(method.output_type).FromString,
    }
    try:
        if method.client_streaming:
            # Nothing is sent: a client that still sends when the refusal comes says INTERNAL of its own now and then.
            await channel.stream_stream(name, **codecs)(timeout=60, metadata=metadata).read()
        else:
            await channel.unary_unary(name, **codecs)(request, timeout=60, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_no_method_answers_without_a_token(platform: Guarded) -> None:
    """Every registered method is UNAUTHENTICATED without a token, but the two that tell how to get one."""
    methods = await registered(platform)
    async with grpc.aio.insecure_channel(platform.addresses.grpc) as channel:
        codes = {method.full_name: await code_of(channel, method) for method in methods}
    answered = {name for name, code in codes.items() if code is not grpc.StatusCode.UNAUTHENTICATED}
    assert {name.rpartition(".")[2] for name in answered} == OPEN
    assert {codes[name] for name in answered} == {grpc.StatusCode.OK}
    assert len(codes) >= 83


async def test_no_path_answers_without_a_token(platform: Guarded) -> None:
    """Every path of the OpenAPI document is 401 without a token, for every verb; so is one that is no path at all."""
    token = platform.token()
    document = (await platform.ask("GET", "/api/v1/openapi", headers={"authorization": f"Bearer {token}"})).json
    paths = {re.sub(r"\{[^}]*\}", "x", path): verbs for path, verbs in document["paths"].items()}
    asked = [(verb.upper(), path) for path, verbs in paths.items() for verb in verbs]
    assert len(asked) >= 60
    extra = [
        ("GET", "/"),
        ("GET", "/metrics"),
        ("GET", "/nope"),
        ("POST", "/api/v1/openapi"),
        ("GET", "/api/v1/openapi"),
        ("PATCH", "/me"),
    ]
    for verb, path in [*asked, *extra]:
        answer = await platform.ask(verb, path, b"{}" if verb in {"POST", "PUT", "DELETE"} else None)
        if path in OPEN_PATHS:
            assert answer.status == 200
        else:
            assert (verb, path, answer.status) == (verb, path, 401)
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_wrong_tokens_open_no_method(platform: Guarded) -> None:
    """Each kind of wrong token is refused by every method over gRPC, and over REST."""
    now = int(time.time())
    stranger = RSAKey.generate_key(2048, {"kid": platform.key.kid})
    right = platform.token()
    wrong = {
        "malformed": "abc",
        "expired": platform.token(exp=now - 1),
        "not valid yet": platform.token(nbf=now + 60),
        "other audience": platform.token(aud="https://other.example"),
        "other issuer": platform.token(iss="https://other.example"),
        "other key": jwt.encode({"alg": "RS256", "kid": stranger.kid}, platform.claims(), stranger),
        "cut": right[:-8],
    }
    methods = [method for method in await registered(platform) if method.name not in OPEN]
    async with grpc.aio.insecure_channel(platform.addresses.grpc) as channel:
        for name, token in wrong.items():
            some = methods if name == "expired" else methods[::9]
            codes = {method.full_name: await code_of(channel, method, bearer(token)) for method in some}
            assert set(codes.values()) == {grpc.StatusCode.UNAUTHENTICATED}, (name, codes)
            answer = await platform.ask("GET", "/api/v1/projects", headers={"authorization": f"Bearer {token}"})
            assert answer.status == 401
            assert token.encode() not in answer.body


@pytest.mark.parametrize("key", ["authorization", "flyte-authorization"])
async def test_a_right_token_opens_every_method(platform: Guarded, key: str) -> None:
    """With the scope `all`, under either name of the metadata, no method but the data planes' link is refused."""
    methods = await registered(platform)
    metadata = bearer(platform.token(), key)
    async with grpc.aio.insecure_channel(platform.addresses.grpc) as channel:
        codes = {method.full_name: await code_of(channel, method, metadata) for method in methods}
    # Its token is in the request, whoever calls.
    assert codes.pop("flyteform.v1.ClusterService.RedeemBootstrapToken") is grpc.StatusCode.UNAUTHENTICATED
    assert grpc.StatusCode.UNAUTHENTICATED not in codes.values()
    assert codes.pop("flyteform.v1.DataPlaneLink.Connect") is grpc.StatusCode.PERMISSION_DENIED
    assert grpc.StatusCode.PERMISSION_DENIED not in codes.values()
    for header in (key, f"Grpc-Metadata-{key}"):
        answer = await platform.ask("GET", "/api/v1/projects", headers={header: metadata[0][1]})
        assert answer.status == 200


async def test_a_token_without_the_scope_may_only_ask_who_it_is(platform: Guarded) -> None:
    """Known but not entitled is PERMISSION_DENIED, and 403 over REST."""
    metadata = bearer(platform.token(scope="read"))
    methods = [method for method in await registered(platform) if method.name not in OPEN]
    async with grpc.aio.insecure_channel(platform.addresses.grpc) as channel:
        codes = {method.full_name: await code_of(channel, method, metadata) for method in methods}
    allowed = {name: code for name, code in codes.items() if code is not grpc.StatusCode.PERMISSION_DENIED}
    assert allowed == {
        "flyteidl.service.IdentityService.UserInfo": grpc.StatusCode.OK,
        # Who calls this has no login yet: the token is in the request, and here it is empty.
        "flyteform.v1.ClusterService.RedeemBootstrapToken": grpc.StatusCode.UNAUTHENTICATED,
    }
    headers = {"authorization": metadata[0][1]}
    assert (await platform.ask("GET", "/api/v1/projects", headers=headers)).status == 403
    assert (await platform.ask("GET", "/me", headers=headers)).json["subject"] == "somebody"


async def test_health_and_signed_urls_need_no_token(platform: Guarded) -> None:
    """Balancers ask for the health, and a signed URL is a credential of its own; an unsigned one is nothing."""
    for path in ("/healthcheck", "/readyz"):
        assert (await platform.ask("GET", path)).status == 200
    async with grpc.aio.insecure_channel(platform.addresses.grpc) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING
        proxy = DataProxyServiceStub(channel)
        request = CreateUploadLocationRequest(project="p", domain="d", filename="f", filename_root="r")
        metadata = bearer(platform.token())
        upload = await proxy.CreateUploadLocation(request, metadata=metadata)
        base = platform.addresses.http
        assert (await platform.ask("PUT", upload.signed_url.removeprefix(base), b"data", upload.headers)).status == 200
        native = CreateDownloadLocationRequest(native_url=upload.native_url)
        location = await proxy.CreateDownloadLocation(native, metadata=metadata)
    path = location.signed_url.removeprefix(base)
    assert (await platform.ask("GET", path)).body == b"data"
    assert (await platform.ask("GET", path.partition("?")[0])).status == 403
    assert (await platform.ask("GET", "/objects/../api/v1/projects")).status in {401, 403}


async def test_nothing_secret_is_logged(platform: Guarded, caplog: pytest.LogCaptureFixture) -> None:
    """Right and wrong tokens and secrets pass without a trace in the log, at its finest level."""
    caplog.set_level(logging.DEBUG)
    secret, token = platform.secret(), platform.token()
    wrong = platform.token(aud="https://other.example")
    for sent in (token, wrong):
        await platform.ask("GET", "/api/v1/projects", headers={"authorization": f"Bearer {sent}"})
    await platform.exchange({"grant_type": "client_credentials"}, "flyteform", secret)
    await platform.exchange({"grant_type": "client_credentials"}, "flyteform", f"{secret}x")
    assert caplog.records
    for text in (secret, token, wrong):
        assert text not in caplog.text


async def test_preflight_requests_of_browsers_are_answered(platform: Guarded) -> None:
    """A browser asks first, without a token, whether it may send one."""
    headers = {
        "origin": "https://console.example",
        "access-control-request-method": "GET",
        "access-control-request-headers": "flyte-authorization",
    }
    answer = await platform.ask("OPTIONS", "/api/v1/projects", headers=headers)
    assert answer.status == 200
    assert "flyte-authorization" in answer.headers["access-control-allow-headers"]
