"""The login of one control plane: its clients, its keys, the tokens that it issues and those that it believes."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from joserfc import jwt

from flyteform_controlplane.auth.clients import Client, data_plane_client, open_clients
from flyteform_controlplane.auth.files import DIRECTORY, alone, private_directory
from flyteform_controlplane.auth.keys import import_public_keys, open_signing_keys, public_keys
from flyteform_controlplane.auth.refusals import InvalidClientError, InvalidScopeError
from flyteform_controlplane.auth.secrets import SecretHash, generate
from flyteform_controlplane.auth.trusted import read_trusted
from flyteform_controlplane.auth.verification import TrustedIssuer, Verifier
from flyteform_controlplane.domain.principals import ALL_SCOPE, DATA_PLANE_SCOPE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from joserfc.jwk import RSAKey

    from flyteform_controlplane.domain.principals import Principal

LIFETIME_SECONDS: Final = 30 * 60  # as Flyte's own authorization server
# Scopes that stock clients ask for beside what they need: refresh tokens, which this grant does not have.
_IGNORED: Final = frozenset({"offline", "offline_access"})
_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token with its lifetime in seconds."""

    text: str = field(repr=False)
    expires_in: int
    scope: str


class Authority:
    """Issues tokens to clients, and verifies the tokens of callers."""

    def __init__(
        self,
        url: str,
        clients: Mapping[str, Client],
        keys: Sequence[RSAKey],
        trusted: Sequence[TrustedIssuer] = (),
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.issuer = url
        self.audience = url
        self._clients = clients
        self._keys = tuple(keys)
        self._clock = clock
        ours = TrustedIssuer(url, url, import_public_keys(public_keys(self._keys)), ours=True)
        self._verifier = Verifier((ours, *trusted), clock=clock)
        # Unknown clients cost as much time as known ones, so that an answer's time does not tell which exist.
        self._nobody = SecretHash.of(generate())
        self._slots = asyncio.Semaphore(_AT_ONCE)

    @classmethod
    def open(cls, state_dir: Path, url: str, clusters: Sequence[str] = ()) -> Authority:
        """Read what lies in the state directory, and make what is missing: keys, clients, secrets."""
        directory = state_dir / DIRECTORY
        private_directory(directory)
        with alone(directory):
            return cls(url, open_clients(directory, clusters), open_signing_keys(directory), read_trusted(directory))

    def jwks(self) -> dict[str, Any]:
        """Return the public halves of our keys."""
        return public_keys(self._keys)

    def authenticate(self, token: str) -> Principal:
        """Return who presents the token; `UnauthenticatedError` if nobody whom we trust."""
        return self._verifier.authenticate(token)

    async def grant(self, client_id: str, secret: str, scopes: Collection[str]) -> IssuedToken:
        """Return a token for the client, with its own scope whichever of ours it asks for.

        `InvalidClientError` or `InvalidScopeError`.
        """
        client = self._clients.get(client_id)
        expected = client.secret if client is not None else self._nobody
        async with self._slots:
            right = await asyncio.to_thread(expected.matches, secret)
        if client is None or not right:
            raise InvalidClientError
        asked = set(scopes) - _IGNORED
        if asked and not asked & {client.scope, ALL_SCOPE}:
            raise InvalidScopeError
        return self._issue(client.id, client.scope, client.cluster, LIFETIME_SECONDS)

    def cluster_token(self, cluster: str, lifetime: int = LIFETIME_SECONDS) -> IssuedToken:
        """Return a token for the data plane of a cluster that this process itself starts."""
        return self._issue(data_plane_client(cluster), DATA_PLANE_SCOPE, cluster, lifetime)

    def _issue(self, subject: str, scope: str, cluster: str, lifetime: int) -> IssuedToken:
        now = int(self._clock())
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": subject,
            "client_id": subject,
            "scope": scope,
            "iat": now,
            "exp": now + lifetime,
            "jti": secrets.token_urlsafe(16),
            **({"cluster": cluster} if cluster else {}),
        }
        key = self._keys[0]
        header = {"alg": "RS256", "typ": "at+jwt", "kid": key.kid}
        return IssuedToken(jwt.encode(header, claims, key, algorithms=["RS256"]), lifetime, scope)
