"""Client secrets: made here, kept as hashes, compared in constant time."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Final

from flyteform.errors import InvalidInputError

SHORTEST: Final = 32  # characters
_SALT_BYTES: Final = 16
# 2^14 blocks of 1 KiB: about 30 ms and 16 MiB for each attempt.
_COST, _BLOCK, _PARALLEL = 2**14, 8, 1
# What Flyte's charts, configuration and guides have for secrets, so that everybody knows them.
KNOWN_DEFAULTS: Final = frozenset(
    {"foobar", "foobar123", "my-secret", "secret", "password", "changeme", "flytepropeller"}
)


def generate() -> str:
    """Return a new secret of 256 random bits."""
    return secrets.token_urlsafe(32)


def check(secret: str) -> None:
    """Refuse a secret that an operator gave and others may know or guess; the message does not repeat it."""
    if secret.lower() in KNOWN_DEFAULTS:
        raise InvalidInputError(
            "the secret is a default that everybody knows", remedy="use 32 or more random characters"
        )
    if len(secret) < SHORTEST or len(set(secret)) < SHORTEST // 4:
        raise InvalidInputError("the secret is too easy to guess", remedy="use 32 or more random characters")


@dataclass(frozen=True, slots=True)
class SecretHash:
    """A salted scrypt hash of a secret."""

    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: str) -> SecretHash:
        """Hash the secret with a new salt."""
        salt = secrets.token_bytes(_SALT_BYTES)
        return cls(salt, _scrypt(secret, salt))

    def matches(self, secret: str) -> bool:
        """Compare, in a time that does not tell how much of it is right; no known default ever matches."""
        same = hmac.compare_digest(self.digest, _scrypt(secret, self.salt))
        return same and secret.lower() not in KNOWN_DEFAULTS

    def as_text(self) -> str:
        """Return the form that is stored."""
        return "scrypt:" + ":".join(base64.b64encode(part).decode() for part in (self.salt, self.digest))

    @classmethod
    def from_text(cls, text: str) -> SecretHash:
        """Read the stored form; `ValueError` if it is another."""
        kind, salt, digest = text.split(":")
        if kind != "scrypt":
            raise ValueError("unknown kind of hash")
        return cls(base64.b64decode(salt, validate=True), base64.b64decode(digest, validate=True))


def _scrypt(secret: str, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL)
