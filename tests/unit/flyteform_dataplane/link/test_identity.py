"""The logins of data planes: tokens in files that rotate, and identities that a bootstrap token lets in."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from flyteform.errors import InvalidInputError
from flyteform.proto.flyteform.v1 import clusters_pb2 as pb
from flyteform.proto.flyteform.v1.clusters_pb2_grpc import ClusterServiceStub
from flyteform_dataplane.channel import Backoff, open_channel
from flyteform_dataplane.identity import bootstrapped
from flyteform_dataplane.link import LinkClient, Place
from support.login import Guarded, bearer, guarded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

    from flyteform.proto.flyteform.v1.link_pb2 import Lease

CLUSTER = "home"


class Nothing:
    """Runs nothing."""

    async def accept(self, lease: Lease) -> None:
        """Do nothing."""

    async def abort(self, execution: WorkflowExecutionIdentifier, cause: str) -> None:
        """Do nothing."""

    async def revoke(self, execution: WorkflowExecutionIdentifier) -> None:
        """Do nothing."""

    def held(self) -> list[WorkflowExecutionIdentifier]:
        """Return nothing."""
        return []


class Platform:
    """A control plane with login, as its operator sees it."""

    def __init__(self, guarded: Guarded, channel: grpc.aio.Channel) -> None:
        self.guarded = guarded
        self.address = guarded.addresses.grpc
        self._stub = ClusterServiceStub(channel)

    @property
    def _user(self) -> Any:
        return bearer(self.guarded.token())

    async def put(self, **spec: Any) -> None:
        """Declare the cluster."""
        request = pb.PutClusterRequest(name=CLUSTER, spec=pb.ClusterSpec(**spec))
        await self._stub.PutCluster(request, metadata=self._user)

    async def token(self) -> str:
        """Make a bootstrap token."""
        request = pb.CreateBootstrapTokenRequest(name=CLUSTER)
        return (await self._stub.CreateBootstrapToken(request, metadata=self._user)).token

    async def until(self, state: pb.ClusterState) -> None:
        """Wait until the cluster is so."""
        found = pb.Cluster()
        while found.state != state:
            found = (await self._stub.GetCluster(pb.GetClusterRequest(name=CLUSTER), metadata=self._user)).cluster


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    """Give a control plane that knows the cluster."""
    async with (
        guarded(tmp_path / "platform") as running,
        grpc.aio.insecure_channel(running.addresses.grpc) as channel,
    ):
        platform = Platform(running, channel)
        await platform.put()
        yield platform


async def test_a_bootstrap_token_lets_a_data_plane_in_for_good(platform: Platform, tmp_path: Path) -> None:
    """Its identity outlives it and is its owner's alone; the token is not needed, nor good, again."""
    file = tmp_path / "token"
    file.write_text(f"{await platform.token()}\n")
    for _ in range(2):
        token = await bootstrapped(platform.address, file, tmp_path / "identity")
        file.unlink(missing_ok=True)
        async with open_channel(platform.address, token=token) as channel:
            link = LinkClient(channel, Nothing(), Place(CLUSTER), backoff=Backoff(0.01, 0.05))
            link.start()
            await platform.until(pb.CLUSTER_STATE_READY)
            await link.stop()
    assert stat.S_IMODE((tmp_path / "identity" / "identity.json").stat().st_mode) == 0o600


async def test_a_token_that_was_used_lets_nobody_else_in(platform: Platform, tmp_path: Path) -> None:
    """One message that says what to do, without the token in it, and no half of an identity is left."""
    file = tmp_path / "token"
    text = await platform.token()
    file.write_text(text)
    await bootstrapped(platform.address, file, tmp_path / "first")
    with pytest.raises(InvalidInputError, match="bootstrap token is refused") as refused:
        await bootstrapped(platform.address, file, tmp_path / "second")
    assert text not in str(refused.value)
    assert refused.value.remedy == "make another token: flyteform cluster token NAME"
    assert not (tmp_path / "second").exists()


async def test_tokens_are_renewed_before_they_end(platform: Platform, tmp_path: Path) -> None:
    """A token is used for half of its time, then the next one is signed; each says who, for whom, and how long."""
    file = tmp_path / "token"
    file.write_text(await platform.token())
    token = await bootstrapped(platform.address, file, tmp_path / "identity")
    time = 1_000_000.0
    token._clock = lambda: time  # noqa: SLF001 - the test's own clock
    token._renew_at = 0.0  # noqa: SLF001 - as above
    first = token.current()
    time += 400
    assert token.current() == first
    time += 100
    second = token.current()
    assert second != first
    claims = jwt.decode(second, token._key, algorithms=["ES256"]).claims  # noqa: SLF001 - what it signs with
    assert (claims["sub"], claims["aud"], claims["exp"] - claims["iat"]) == (
        f"dataplane-{CLUSTER}",
        platform.guarded.addresses.http,
        900,
    )


NO_KEY = json.dumps({"key": {}, "issuer": "", "audience": "", "subject": "", "lifetime": 1})


@pytest.mark.parametrize("content", ["", "{", "{}", NO_KEY])
async def test_a_damaged_identity_is_said_without_its_key(tmp_path: Path, content: str) -> None:
    """The message names the file and the way out."""
    (tmp_path / "identity.json").write_text(content)
    with pytest.raises(InvalidInputError, match="holds no identity"):
        await bootstrapped("127.0.0.1:1", tmp_path / "token", tmp_path)


@pytest.mark.parametrize("content", [None, "", " \n"])
async def test_a_bootstrap_token_that_is_not_there_is_said(tmp_path: Path, content: str | None) -> None:
    """Before anything is asked of the control plane."""
    if content is not None:
        (tmp_path / "token").write_text(content)
    with pytest.raises(InvalidInputError, match="bootstrap token"):
        await bootstrapped("127.0.0.1:1", tmp_path / "token", tmp_path)


async def test_a_token_file_is_read_again_as_it_rotates(platform: Platform, tmp_path: Path) -> None:
    """An expired token is of no use; when the kubelet has written the next one the link stands, without a restart."""
    key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
    identity = {"issuer": "https://cluster", "audience": "flyteform", "subject": "system:serviceaccount:f:operator"}
    jwks = json.dumps({"keys": [key.as_dict(private=False)]})
    await platform.put(identity=pb.ClusterIdentity(**identity, jwks=jwks))

    def signed(exp: int) -> str:
        claims = {"iss": identity["issuer"], "aud": [identity["audience"]], "sub": identity["subject"], "exp": exp}
        return jwt.encode({"alg": "RS256", "kid": str(key.kid)}, claims, key)

    file = tmp_path / "token"
    file.write_text(signed(1))
    async with open_channel(platform.address, file) as channel:
        link = LinkClient(channel, Nothing(), Place(CLUSTER), backoff=Backoff(0.01, 0.05))
        link.start()
        with pytest.raises(grpc.aio.AioRpcError, match="expired"):
            await link._stub.Connect().read()  # noqa: SLF001 - the same channel
        file.write_text(signed(2**31))
        await platform.until(pb.CLUSTER_STATE_READY)
        await link.stop()
