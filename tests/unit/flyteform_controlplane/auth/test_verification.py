"""Which tokens are believed."""

from __future__ import annotations

import base64
import hmac
import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from flyteform.errors import InvalidInputError
from flyteform_controlplane.auth.keys import import_public_keys
from flyteform_controlplane.auth.trusted import read_trusted
from flyteform_controlplane.auth.verification import TrustedIssuer, Verifier
from flyteform_controlplane.errors import UnauthenticatedError

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_000_000
ISSUER, AUDIENCE = "https://issuer.example", "https://flyte.example"
KEY = RSAKey.generate_key(2048, auto_kid=True)
OTHER = RSAKey.generate_key(2048, {"kid": KEY.kid})
CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "scope": "all read", "iat": NOW, "exp": NOW + 60}


class Clock:
    """Time that stands still."""

    now = float(NOW)

    def __call__(self) -> float:
        """Return it."""
        return self.now


def trusted(*keys: RSAKey | ECKey | OKPKey, **changes: Any) -> TrustedIssuer:
    """Pin the issuer with these keys."""
    public = import_public_keys({"keys": [key.as_dict(private=False) for key in keys or (KEY,)]})
    return TrustedIssuer(**{"issuer": ISSUER, "audience": AUDIENCE, "keys": public, **changes})


def verifier(*issuers: TrustedIssuer, clock: Clock | None = None) -> Verifier:
    """Return one at a time that stands still."""
    return Verifier(issuers or (trusted(),), clock=clock or Clock())


def token(key: RSAKey | ECKey | OKPKey = KEY, header: dict[str, Any] | None = None, **changes: Any) -> str:
    """Sign claims that are right but for the changes; None takes one away."""
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    wanted = {"alg": "RS256", "kid": key.kid, **(header or {})}
    return jwt.encode({name: value for name, value in wanted.items() if value is not None}, claims, key)


def part(document: object) -> str:
    """Encode a part of a token."""
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def hs256_of_the_public_key() -> str:
    """Return a token whose HMAC has the public key, which everybody knows, for its secret."""
    signed = f"{part({'alg': 'HS256', 'kid': KEY.kid})}.{part(CLAIMS)}"
    secret = KEY.as_pem(private=False)
    digest = hmac.new(secret, signed.encode(), "sha256").digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def test_a_right_token_names_its_caller() -> None:
    """Subject, scopes and expiry are those of the claims."""
    principal = verifier().authenticate(token(email="ann@example.org"))
    assert (principal.subject, principal.scopes, principal.expires_at) == ("ann", {"all", "read"}, NOW + 60)
    assert (principal.email, principal.cluster) == ("ann@example.org", "")


def test_the_scopes_of_other_servers_are_read_too() -> None:
    """`scp` as a list, as some identity providers have it."""
    assert verifier().authenticate(token(scope=None, scp=["all", 7])).scopes == {"all"}


WRONG = {
    "nothing": ("", "no JSON Web Token"),
    "one part": ("abc", "no JSON Web Token"),
    "no JSON": ("aaaa.bbbb.cccc", "no JSON Web Token"),
    "huge": (token() + "A" * 20_000, "no JSON Web Token"),
    "expired": (token(exp=NOW), "expired"),
    "no expiry": (token(exp=None), "exp"),
    "expiry is no number": (token(exp="never"), "exp"),
    "expiry is true": (token(exp=True), "exp"),
    "expiry is no time": (token(exp=math.nan), "exp"),
    "not valid yet": (token(nbf=NOW + 1), "not valid yet"),
    "issued later": (token(iat=NOW + 1), "iat"),
    "other audience": (token(aud="https://other.example"), "audience"),
    "no audience": (token(aud=None), "audience"),
    "other issuer": (token(iss="https://other.example"), "issuer"),
    "no issuer": (token(iss=None), "issuer"),
    "no subject": (token(sub=None), "sub"),
    "other key of the same name": (token(OTHER), "signature"),
    "unknown key": (token(RSAKey.generate_key(2048, auto_kid=True)), "key"),
    "no key": (token(header={"kid": None}), "name its key"),
    "key by address": (
        token(RSAKey.generate_key(2048, {"kid": "x"}), header={"jku": "http://127.0.0.1:1/keys"}),
        "key is not one",
    ),
    "alg none": (f"{part({'alg': 'none', 'kid': KEY.kid})}.{part(CLAIMS)}.AAAA", "algorithm"),
    "alg none, no signature": (f"{part({'alg': 'none', 'kid': KEY.kid})}.{part(CLAIMS)}.", "no JSON Web Token"),
    "alg is a list": (f"{part({'alg': ['RS256'], 'kid': KEY.kid})}.{part(CLAIMS)}.AAAA", "refused"),
    "HS256 with the public key": (hs256_of_the_public_key(), "algorithm"),
    "another algorithm of the same key": (token(header={"alg": "RS256"}).replace(".", "x.", 1), "refused"),
    "claims are no object": (f"{part({'alg': 'RS256', 'kid': KEY.kid})}.{part([1])}.AAAA", "signature"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_token_is_refused(name: str) -> None:
    """Each is refused for its own reason, and the reason does not repeat the token."""
    text, reason = WRONG[name]
    with pytest.raises(UnauthenticatedError, match=reason) as refused:
        verifier().authenticate(text)
    assert not text or text not in str(refused.value)


def test_changed_claims_are_refused() -> None:
    """Claims of one token under the signature of another are nobody's."""
    header, _, signature = token().split(".")
    with pytest.raises(UnauthenticatedError, match="signature"):
        verifier().authenticate(f"{header}.{part({**CLAIMS, 'sub': 'root'})}.{signature}")


def test_a_token_that_was_believed_expires() -> None:
    """That a token was verified before does not help it beyond its end."""
    clock = Clock()
    believer, text = verifier(clock=clock), token()
    believer.authenticate(text)
    clock.now = NOW + 59.9
    believer.authenticate(text)
    clock.now = NOW + 60
    for _ in range(2):
        with pytest.raises(UnauthenticatedError, match="expired"):
            believer.authenticate(text)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(ECKey.generate_key("P-256", auto_kid=True), "ES256"), (OKPKey.generate_key("Ed25519", auto_kid=True), "EdDSA")],
)
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_elliptic_keys_are_believed_with_their_own_algorithm_only(key: ECKey | OKPKey, algorithm: str) -> None:
    """ES256 and EdDSA tokens pass; a header that names the algorithm of another kind of key does not."""
    claims = jwt.encode({"alg": algorithm, "kid": key.kid}, CLAIMS, key, algorithms=[algorithm])
    assert verifier(trusted(key)).authenticate(claims).subject == "ann"
    wrong = part({"alg": "RS256", "kid": key.kid}) + claims[claims.index(".") :]
    with pytest.raises(UnauthenticatedError):
        verifier(trusted(key)).authenticate(wrong)


def test_a_cluster_is_told_by_the_pinned_key_and_never_by_a_claim() -> None:
    """Two clusters share an issuer's name: the key decides which it is, and only the pinned subject is believed."""
    second = RSAKey.generate_key(2048, auto_kid=True)
    pinned = {"subject": "system:serviceaccount:flyte:dataplane"}
    both = verifier(trusted(cluster="one", **pinned), trusted(second, cluster="two", **pinned))
    sub = pinned["subject"]
    assert both.authenticate(token(sub=sub)).cluster == "one"
    found = both.authenticate(token(second, sub=sub, cluster="one"))
    assert (found.cluster, found.scopes) == ("two", {"dataplane"})
    with pytest.raises(UnauthenticatedError, match="subject"):
        both.authenticate(token(sub="system:serviceaccount:default:default"))
    assert verifier(trusted()).authenticate(token(cluster="one")).cluster == ""


@settings(max_examples=50)
@given(st.one_of(st.text(), st.lists(st.binary(max_size=40), min_size=3, max_size=3)))
def test_garbage_is_refused_and_nothing_else(garbage: str | list[bytes]) -> None:
    """Whatever is sent as a token, the answer is that it is refused."""
    parts = (
        [base64.urlsafe_b64encode(piece).rstrip(b"=").decode() for piece in garbage]
        if isinstance(garbage, list)
        else []
    )
    with pytest.raises(UnauthenticatedError):
        verifier().authenticate(garbage if isinstance(garbage, str) else ".".join(parts))


def test_pinned_issuers_come_from_a_file(tmp_path: Path) -> None:
    """The operator's file names issuers with their keys; the private half of a key is not kept."""
    entry = {"issuer": ISSUER, "audience": AUDIENCE, "jwks": {"keys": [KEY.as_dict(private=True)]}}
    (tmp_path / "trusted.json").write_text(json.dumps({"issuers": [entry]}))
    (read,) = read_trusted(tmp_path)
    assert verifier(read).authenticate(token()).subject == "ann"
    assert not any(key.is_private for key in read.keys)
    assert read_trusted(tmp_path / "nowhere") == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "x"}]}}, "symmetric"),
        ({"jwks": {"keys": [{**KEY.as_dict(private=False), "kid": ""}]}}, "kid"),
        ({"jwks": {"keys": "none"}}, "no JSON Web Key Set"),
        ({"issuer": ""}, "issuer"),
        ({"cluster": "one"}, "subject"),
        ({"algorithm": "none"}, "unknown fields"),
    ],
)
def test_a_wrong_file_of_issuers_is_refused(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    """A mistake in the file stops the start and names the file; it never opens a door."""
    entry = {"issuer": ISSUER, "audience": AUDIENCE, "jwks": {"keys": [KEY.as_dict(private=False)]}, **change}
    (tmp_path / "trusted.json").write_text(json.dumps({"issuers": [entry]}))
    with pytest.raises(InvalidInputError, match=r"trusted\.json.*" + reason):
        read_trusted(tmp_path)
