"""Tokens of callers: verified against issuers and keys that were pinned before the first call came."""

from __future__ import annotations

import hashlib
import re
import time
import warnings
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError, MissingClaimError, SecurityWarning

from flyteform_controlplane.domain.principals import DATA_PLANE_SCOPE, Principal
from flyteform_controlplane.errors import UnauthenticatedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from joserfc.jwk import ECKey, OKPKey, RSAKey

    PublicKey = RSAKey | ECKey | OKPKey

ALGORITHMS: Final = frozenset({"RS256", "ES256", "EdDSA"})
MAX_TOKEN_CHARS: Final = 16 * 1024
_CACHED: Final = 1024
# How far the clocks of clusters may be ahead of ours.
_SKEW_SECONDS: Final = 30
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+").fullmatch
_REASONS: Final = {
    "iss": "its issuer is not trusted",
    "aud": "it is for another audience",
    "nbf": "it is not valid yet",
}


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """Whose tokens are believed: this issuer's, for this audience, signed by one of these keys.

    With `cluster`, its tokens are those of that cluster's data plane, and `subject` is the only one that may have
    them. `ours` marks this control plane itself: only there does a claim name the cluster. With `longest`, a token that
    will be good for more seconds than that is refused.
    """

    issuer: str
    audience: str
    keys: tuple[PublicKey, ...] = field(repr=False)
    cluster: str = ""
    subject: str = ""
    ours: bool = False
    longest: float | None = None


class Verifier:
    """Turns tokens into principals; `clock` gives Unix seconds. No claim and no header of a token is ever fetched."""

    def __init__(self, trusted: Sequence[TrustedIssuer], *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._trusted: dict[str, list[tuple[TrustedIssuer, PublicKey]]] = {}
        for issuer in trusted:
            for key in issuer.keys:
                self._trusted.setdefault(str(key.kid), []).append((issuer, key))
        # By digest, so that no token lies in memory longer than its call.
        self._verified: OrderedDict[bytes, Principal] = OrderedDict()

    def authenticate(self, token: str) -> Principal:
        """Return who presents the token; `UnauthenticatedError` says what is wrong with it, without repeating it."""
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        principal = self._verified.get(digest)
        if principal is None:
            principal = self._verify(token)
            self._verified[digest] = principal
            if len(self._verified) > _CACHED:
                self._verified.popitem(last=False)
        elif principal.expires_at <= self._clock():
            del self._verified[digest]
            raise _refused("it has expired")
        return principal

    def knows(self, token: str) -> bool:
        """Say whether a trusted key has the name that the token says; `UnauthenticatedError` if it is no token."""
        return _header(token)[1] in self._trusted

    def _verify(self, token: str) -> Principal:
        algorithm, kid = _header(token)
        refusal = _refused("its key is not one of those that are trusted")
        # Several clusters may share an issuer's name, never a key; the loop is for a key that is pinned twice.
        for issuer, key in self._trusted.get(kid, ()):
            try:
                return self._principal(issuer, self._claims(token, algorithm, issuer, key))
            except UnauthenticatedError as error:
                refusal = error
        raise refusal

    def _claims(self, token: str, algorithm: str, issuer: TrustedIssuer, key: PublicKey) -> Mapping[str, Any]:
        registry = jwt.JWTClaimsRegistry(
            now=lambda: int(self._clock()),
            leeway=_SKEW_SECONDS if issuer.cluster else 0,
            iss={"essential": True, "value": issuer.issuer},
            aud={"essential": True, "value": issuer.audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            with warnings.catch_warnings():
                # The name EdDSA is being replaced by Ed25519; tokens in the field have the former.
                warnings.simplefilter("ignore", SecurityWarning)
                claims = jwt.decode(token, key, algorithms=[algorithm]).claims
            registry.validate(claims)
        except ExpiredTokenError as error:
            raise _refused("it has expired") from error
        except (InvalidClaimError, MissingClaimError) as error:
            raise _refused(_REASONS.get(error.claim, f"its claim {error.claim} is missing or wrong")) from error
        except (JoseError, ValueError, TypeError, RecursionError):
            raise _refused("its signature does not fit") from None
        left = claims["exp"] - self._clock()
        if left <= 0:  # the leeway is for tokens that were made by a clock ahead of ours
            raise _refused("it has expired")
        if issuer.longest is not None and left > issuer.longest + _SKEW_SECONDS:
            raise _refused("it is good for too long")
        return claims

    def _principal(self, issuer: TrustedIssuer, claims: Mapping[str, Any]) -> Principal:
        if issuer.subject and claims["sub"] != issuer.subject:
            raise _refused("its subject is not trusted")
        cluster = _text(claims, "cluster") if issuer.ours else issuer.cluster
        return Principal(
            subject=claims["sub"],
            scopes=frozenset({DATA_PLANE_SCOPE}) if cluster else _scopes(claims),
            expires_at=claims["exp"],
            cluster=cluster,
            name=_text(claims, "name"),
            given_name=_text(claims, "given_name"),
            family_name=_text(claims, "family_name"),
            email=_text(claims, "email"),
            picture=_text(claims, "picture"),
        )


def _header(token: str) -> tuple[str, str]:
    """Read, without believing it yet, how the token says that it is signed."""
    if len(token) > MAX_TOKEN_CHARS or not _COMPACT(token):
        raise _refused("it is no JSON Web Token")
    try:
        header = jws.extract_compact(token.encode()).headers()
    except (JoseError, ValueError, TypeError, RecursionError):
        raise _refused("it is no JSON Web Token") from None
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise _refused("its algorithm is not accepted")
    if not isinstance(kid, str):
        raise _refused("it does not name its key")
    return algorithm, kid


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    found = claims.get("scope", claims.get("scp", ""))
    parts = found.split() if isinstance(found, str) else found
    return frozenset(part for part in parts if isinstance(part, str)) if isinstance(parts, list) else frozenset()


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def _refused(reason: str) -> UnauthenticatedError:
    return UnauthenticatedError(f"the token is refused: {reason}")
