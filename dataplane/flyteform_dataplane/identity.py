"""The identity of a data plane whose cluster has no issuer of tokens: a key of its own, let in by a bootstrap token."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from flyteform.errors import InvalidInputError
from flyteform.proto.flyteform.v1.clusters_pb2 import RedeemBootstrapTokenRequest, RedeemBootstrapTokenResponse
from flyteform.proto.flyteform.v1.clusters_pb2_grpc import ClusterServiceStub
from flyteform_dataplane.channel import Backoff, open_channel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

logger = logging.getLogger(__name__)

_FILE = "identity.json"
_ALGORITHM = "ES256"
_TIMEOUT = 30.0  # seconds
_CLAIMS = ("issuer", "audience", "subject")


@dataclass(frozen=True, slots=True)
class Identity:
    """A private key, and what tokens that it signs have to say; `lifetime` in seconds."""

    key: Mapping[str, Any] = field(repr=False)
    issuer: str
    audience: str
    subject: str
    lifetime: float


class SignedToken:
    """Signs the next token when half of the last one's time is over."""

    def __init__(self, identity: Identity, clock: Callable[[], float] = time.time) -> None:
        from joserfc.jwk import ECKey

        self._identity = identity
        self._key = ECKey.import_key(dict(identity.key))
        self._clock = clock
        self._text = ""
        self._renew_at = float("-inf")

    def current(self) -> str:
        """Return a token that is good for a while."""
        now = self._clock()
        if now >= self._renew_at:
            self._text = self._sign(int(now))
            self._renew_at = now + self._identity.lifetime / 2
        return self._text

    def _sign(self, now: int) -> str:
        from joserfc import jwt

        claims = {
            "iss": self._identity.issuer,
            "aud": self._identity.audience,
            "sub": self._identity.subject,
            "iat": now,
            "exp": now + int(self._identity.lifetime),
            "jti": secrets.token_urlsafe(16),
        }
        header = {"alg": _ALGORITHM, "kid": str(self._key.kid)}
        return jwt.encode(header, claims, self._key, algorithms=[_ALGORITHM])


async def bootstrapped(control_plane: str, token_file: Path, directory: Path) -> SignedToken:
    """Return the identity in the directory; the first time, make it and have it let in by the token in the file.

    Waits while the control plane cannot be reached; `InvalidInputError` if it refuses the token.
    """
    path = directory / _FILE
    if not path.exists():
        _write_private(path, await _redeemed(control_plane, token_file))
    return _read(path)


async def _redeemed(control_plane: str, token_file: Path) -> dict[str, Any]:
    from joserfc.jwk import ECKey

    key = ECKey.generate_key("P-256", {"use": "sig", "alg": _ALGORITHM}, auto_kid=True)
    request = RedeemBootstrapTokenRequest(
        token=_token(token_file), public_key=json.dumps(key.as_dict(private=False), sort_keys=True)
    )
    async with open_channel(control_plane) as channel:
        answer = await _redeem(channel, request)
    logger.info("this data plane is known as cluster %r from now on", answer.name)
    claims = {name: getattr(answer, name) for name in _CLAIMS}
    lifetime = answer.longest_lifetime.ToTimedelta().total_seconds()
    return {"key": key.as_dict(private=True), "lifetime": lifetime, **claims}


async def _redeem(channel: grpc.aio.Channel, request: RedeemBootstrapTokenRequest) -> RedeemBootstrapTokenResponse:
    backoff, failures = Backoff(), 0
    while True:
        try:
            return await ClusterServiceStub(channel).RedeemBootstrapToken(request, timeout=_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise InvalidInputError(
                    f"the control plane does not let this data plane in: {error.details() or error.code().name}",
                    remedy="make another token: flyteform cluster token NAME",
                ) from error
        failures += 1
        if failures == 1:
            logger.warning("the control plane cannot be reached yet, trying again")
        await asyncio.sleep(backoff.pause(failures))


def _token(file: Path) -> str:
    try:
        text = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"the bootstrap token cannot be read from {file}: {error}") from error
    if not text:
        raise InvalidInputError(f"{file} holds no bootstrap token")
    return text


def _read(path: Path) -> SignedToken:
    from joserfc.errors import JoseError

    try:
        document = json.loads(path.read_bytes())
        issuer, audience, subject = (str(document[name]) for name in _CLAIMS)
        return SignedToken(Identity(document["key"], issuer, audience, subject, float(document["lifetime"])))
    except (OSError, ValueError, KeyError, TypeError, JoseError):
        raise InvalidInputError(
            f"{path} holds no identity", remedy="remove it, and let the data plane in with another bootstrap token"
        ) from None  # the cause may quote the key


def _write_private(path: Path, document: dict[str, Any]) -> None:
    """Write for its owner alone, all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)
