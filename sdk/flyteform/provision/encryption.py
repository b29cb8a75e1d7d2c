"""A state document under a passphrase: scrypt makes the key, AES-256-GCM hides the text and shows any change of it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyteform.errors import InvalidInputError
from flyteform.provision.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = "flyteform-state-encrypted"
FORMAT_VERSION = 1
PASSPHRASE, PASSPHRASE_FILE = "FLYTEFORM_STATE_PASSPHRASE", "FLYTEFORM_STATE_PASSPHRASE_FILE"
# 32 MiB and some 60 ms for each guess. A document may ask for more, but not for all of the machine.
_COST = {"n": 2**15, "r": 8, "p": 1}
_LARGEST_COST = 2**24
_SALT_BYTES, _NONCE_BYTES, _KEY_BYTES = 16, 12, 32


def cipher_of(environ: Mapping[str, str]) -> Cipher | None:
    """Return the cipher of the passphrase that the environment has or names a file of, None without one."""
    passphrase = environ.get(PASSPHRASE)
    if passphrase:
        return Cipher(passphrase)
    name = environ.get(PASSPHRASE_FILE)
    return Cipher(read_passphrase(Path(name))) if name else None


def read_passphrase(path: Path) -> str:
    """Return the first line of a file."""
    try:
        first = path.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"cannot read a passphrase from {path}: {getattr(error, 'strerror', None) or 'it is no text'}",
            remedy="name a file whose first line is the passphrase",
        ) from error
    if not first:
        raise InvalidInputError(f"the first line of {path} is empty", remedy="write the passphrase there")
    return first


def is_sealed(text: str) -> bool:
    """Tell whether a document is an encrypted one, whatever the passphrase."""
    try:
        document = json.loads(text)
    except ValueError:
        return False
    return isinstance(document, dict) and document.get("format") == FORMAT


class Cipher:
    """Encrypts and decrypts with one passphrase."""

    def __init__(self, passphrase: str) -> None:
        self._passphrase = passphrase
        self._salt = os.urandom(_SALT_BYTES)
        self._keys: dict[str, bytes] = {}

    def seal(self, text: str) -> str:
        """Encrypt a document; no two results are the same."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        head: dict[str, Any] = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "kdf": {"name": "scrypt", **_COST, "salt": _encode(self._salt)},
        }
        nonce = os.urandom(_NONCE_BYTES)
        data = AESGCM(self._key(head["kdf"])).encrypt(nonce, text.encode(), _bound(head))
        return json.dumps({**head, "nonce": _encode(nonce), "data": _encode(data)}, indent=1) + "\n"

    def unseal(self, text: str, location: str) -> str:
        """Decrypt a document; `StateError` for another passphrase or a document that somebody has changed."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            document = json.loads(text)
            version = int(document["version"])
            head = {key: document[key] for key in ("format", "version", "kdf")}
            nonce, data = base64.b64decode(document["nonce"]), base64.b64decode(document["data"])
            if version <= FORMAT_VERSION:
                return AESGCM(self._key(head["kdf"])).decrypt(nonce, data, _bound(head)).decode()
        except InvalidTag as error:
            raise StateError(
                f"the passphrase is not that of the state {location}, or somebody has changed the state",
                remedy=f"set {PASSPHRASE} to the passphrase with which it was written",
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(
                f"{location} is a damaged state document", remedy="restore it from a copy, or name another one"
            ) from error
        raise StateError(
            f"{location} was encrypted by a later release (format {version})",
            remedy="upgrade flyteform on this machine",
        )

    def _key(self, kdf: Mapping[str, Any]) -> bytes:
        """Return the key for these parameters; each is derived once."""
        name = json.dumps(kdf, sort_keys=True)
        if name not in self._keys:
            n, r, p = int(kdf["n"]), int(kdf["r"]), int(kdf["p"])
            if kdf["name"] != "scrypt" or n * r * p > _LARGEST_COST:
                raise ValueError("unknown or unbearable key derivation")
            salt = base64.b64decode(kdf["salt"])
            memory = 128 * r * (n + p + 2) * 2
            self._keys[name] = hashlib.scrypt(
                self._passphrase.encode(), salt=salt, n=n, r=r, p=p, maxmem=memory, dklen=_KEY_BYTES
            )
        return self._keys[name]


def _bound(head: Mapping[str, Any]) -> bytes:
    """Return what cannot be changed without the key either."""
    return json.dumps(head, sort_keys=True).encode()


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()
