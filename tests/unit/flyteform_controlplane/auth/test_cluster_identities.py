"""Clusters that were onboarded by their issuers' keys: which tokens their data planes get in with, and which not."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from flyteform.proto.flyteform.v1 import clusters_pb2 as pb
from flyteform.proto.flyteform.v1.clusters_pb2_grpc import ClusterServiceStub
from flyteform.proto.flyteform.v1.link_pb2 import FromDataPlane, Register
from flyteform.proto.flyteform.v1.link_pb2_grpc import DataPlaneLinkStub
from support.login import Guarded, bearer, guarded, register

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

# What every self-managed cluster calls itself.
ISSUER = "https://kubernetes.default.svc.cluster.local"
AUDIENCE = "https://flyte.example.org"
SUBJECT = "system:serviceaccount:flyteform:operator"
EAST = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
WEST = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED


def token(key: RSAKey | ECKey, header: dict[str, str] | None = None, **changes: Any) -> str:
    """Return a token as a kubelet mounts it, right but for the changes; None takes a claim away."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": [AUDIENCE], "sub": SUBJECT, "iat": now, "nbf": now, "exp": now + 600, **changes}
    algorithm = {"RSA": "RS256", "EC": "ES256"}[key.key_type]
    left = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": algorithm, "kid": str(key.kid), **(header or {})}, left, key, algorithms=[algorithm])


def public(*keys: RSAKey | ECKey) -> str:
    """Return what the API server publishes of its keys."""
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]})


async def put(channel: grpc.aio.Channel, user: str, name: str, jwks: str, **identity: str) -> None:
    """Onboard a cluster, or change its keys."""
    parts = {"issuer": ISSUER, "audience": AUDIENCE, "subject": SUBJECT, "jwks": jwks, **identity}
    spec = pb.ClusterSpec(identity=pb.ClusterIdentity(**parts))
    await ClusterServiceStub(channel).PutCluster(pb.PutClusterRequest(name=name, spec=spec), metadata=bearer(user))


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Guarded]:
    """Give a control plane with login."""
    async with guarded(tmp_path, "old") as running:
        yield running


@pytest.fixture
async def channel(platform: Guarded) -> AsyncIterator[grpc.aio.Channel]:
    """Give a channel to it, when two clusters with one issuer's name are onboarded."""
    async with grpc.aio.insecure_channel(platform.addresses.grpc) as opened:
        await put(opened, platform.token(), "east", public(EAST))
        await put(opened, platform.token(), "west", public(WEST))
        yield opened


async def test_each_cluster_gets_in_with_its_own_tokens(channel: grpc.aio.Channel) -> None:
    """One issuer's name, two clusters: the keys tell them apart, and neither may say that it is the other."""
    assert await register(channel, token(EAST), "east") is grpc.StatusCode.OK
    assert await register(channel, token(WEST), "west") is grpc.StatusCode.OK
    assert await register(channel, token(EAST), "west") is DENIED
    assert await register(channel, token(WEST), "east") is DENIED


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": int(time.time()) - 1},
        {"exp": None},
        {"aud": ["https://kubernetes.default.svc"]},
        {"aud": None},
        {"iss": "https://elsewhere.example.org"},
        {"sub": "system:serviceaccount:flyteform:default"},
        {"sub": None},
        {"nbf": int(time.time()) + 3600},
    ],
)
async def test_a_token_that_does_not_fit_in_all_is_refused(channel: grpc.aio.Channel, changes: dict[str, Any]) -> None:
    """Expired, for others, of another issuer, of another service account, for later: none opens the link."""
    assert await register(channel, token(EAST, **changes), "east") is UNAUTHENTICATED


async def test_forged_tokens_are_refused(channel: grpc.aio.Channel) -> None:
    """A key of one's own under a trusted key's name, no algorithm, a key by URL or in the header: all in vain."""
    forger = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
    east = str(EAST.kid)
    unsigned = ".".join([*token(EAST, header={}).split(".")[:2], ""])
    for bad in (
        token(forger, header={"kid": east}),
        token(forger),
        token(forger, header={"jku": "http://127.0.0.1:1/jwks", "kid": east}),
        token(forger, header={"jwk": forger.as_dict(private=False), "kid": east}),  # type: ignore[dict-item]
        token(WEST, header={"kid": east}),
        unsigned,
        token(EAST)[:-4] + "AAAA",
    ):
        assert await register(channel, bad, "east") is UNAUTHENTICATED


async def test_keys_can_be_rotated_and_taken_away(platform: Guarded, channel: grpc.aio.Channel) -> None:
    """A new key counts as soon as it is pinned, beside the old one; a key that is pinned no more is refused."""
    newer = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
    assert await register(channel, token(newer), "east") is UNAUTHENTICATED
    await put(channel, platform.token(), "east", public(EAST, newer))
    assert await register(channel, token(newer), "east") is grpc.StatusCode.OK
    assert await register(channel, token(EAST), "east") is grpc.StatusCode.OK
    await put(channel, platform.token(), "east", public(newer))
    assert await register(channel, token(EAST), "east") is UNAUTHENTICATED


async def test_a_link_ends_when_its_identity_is_taken_away(platform: Guarded, channel: grpc.aio.Channel) -> None:
    """Who has the link of a cluster by a key that is pinned no more does not keep it until the token's end."""
    stream = DataPlaneLinkStub(channel).Connect(metadata=bearer(token(EAST)))
    await stream.write(FromDataPlane(register=Register(cluster="east")))
    async with asyncio.timeout(60):
        assert (await stream.read()).WhichOneof("message") == "registered"
        newer = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
        await put(channel, platform.token(), "east", public(newer))
        assert await stream.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert await register(channel, token(newer), "east") is grpc.StatusCode.OK


async def test_the_link_of_a_former_bootstrapped_key_ends(platform: Guarded, channel: grpc.aio.Channel) -> None:
    """Another token, redeemed with another key, makes the link by the first key end."""
    stub, user = ClusterServiceStub(channel), bearer(platform.token())
    await stub.PutCluster(pb.PutClusterRequest(name="home"), metadata=user)

    async def redeemed() -> str:
        made = await stub.CreateBootstrapToken(pb.CreateBootstrapTokenRequest(name="home"), metadata=user)
        key = ECKey.generate_key("P-256", {"use": "sig"}, auto_kid=True)
        shown = pb.RedeemBootstrapTokenRequest(token=made.token, public_key=json.dumps(key.as_dict(private=False)))
        answer = await stub.RedeemBootstrapToken(shown)
        return token(key, iss=answer.issuer, aud=answer.audience, sub=answer.subject)

    stream = DataPlaneLinkStub(channel).Connect(metadata=bearer(await redeemed()))
    await stream.write(FromDataPlane(register=Register(cluster="home")))
    async with asyncio.timeout(60):
        assert (await stream.read()).WhichOneof("message") == "registered"
        second = await redeemed()
        assert await stream.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert await register(channel, second, "home") is grpc.StatusCode.OK


async def test_the_tokens_of_a_deleted_cluster_are_refused(platform: Guarded, channel: grpc.aio.Channel) -> None:
    """Nobody gets in for a cluster that is not there."""
    user = bearer(platform.token())
    assert await register(channel, token(EAST), "east") is grpc.StatusCode.OK
    await ClusterServiceStub(channel).DeleteCluster(pb.DeleteClusterRequest(name="east"), metadata=user)
    assert await register(channel, token(EAST), "east") is UNAUTHENTICATED


async def test_a_data_plane_may_not_touch_clusters(channel: grpc.aio.Channel) -> None:
    """It can neither see, change nor make tokens for clusters, its own among them."""
    stub, own = ClusterServiceStub(channel), bearer(token(EAST))
    for call in (
        stub.ListClusters(pb.ListClustersRequest(), metadata=own),
        stub.PutCluster(pb.PutClusterRequest(name="east"), metadata=own),
        stub.UncordonCluster(pb.UncordonClusterRequest(name="east"), metadata=own),
        stub.CreateBootstrapToken(pb.CreateBootstrapTokenRequest(name="east"), metadata=own),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is DENIED


async def test_a_bootstrapped_data_plane_signs_its_own_tokens(platform: Guarded, channel: grpc.aio.Channel) -> None:
    """The key of the first who redeems counts; its tokens are short-lived ones, and only for this control plane."""
    stub, user = ClusterServiceStub(channel), bearer(platform.token())
    await stub.PutCluster(pb.PutClusterRequest(name="home"), metadata=user)
    made = await stub.CreateBootstrapToken(pb.CreateBootstrapTokenRequest(name="home"), metadata=user)
    key, thief = (ECKey.generate_key("P-256", {"use": "sig"}, auto_kid=True) for _ in range(2))
    redeem = pb.RedeemBootstrapTokenRequest(token=made.token, public_key=json.dumps(key.as_dict(private=False)))
    answer = await stub.RedeemBootstrapToken(redeem)
    redeem.public_key = json.dumps(thief.as_dict(private=False))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.RedeemBootstrapToken(redeem)
    assert refused.value.code() is UNAUTHENTICATED
    claims = {"iss": answer.issuer, "aud": answer.audience, "sub": answer.subject}
    assert await register(channel, token(key, **claims), "home") is grpc.StatusCode.OK
    assert await register(channel, token(key, **claims), "east") is DENIED
    assert await register(channel, token(thief, **claims), "home") is UNAUTHENTICATED
    assert await register(channel, token(key, **{**claims, "aud": AUDIENCE}), "home") is UNAUTHENTICATED
    for_long = {**claims, "exp": int(time.time()) + 86_400}
    assert await register(channel, token(key, **for_long), "home") is UNAUTHENTICATED


async def test_clusters_that_were_named_at_the_start_go_on(platform: Guarded, channel: grpc.aio.Channel) -> None:
    """The client of a cluster that was named by `--cluster` needs no onboarding."""
    assert await register(channel, platform.cluster_token("old"), "old") is grpc.StatusCode.OK
