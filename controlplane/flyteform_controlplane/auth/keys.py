"""The keys that sign our tokens: made at the first start, several while one is being replaced."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey

from flyteform_controlplane.auth.files import damaged, write_private

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_FILE: Final = "signing-keys.json"
_BITS: Final = 2048


def open_signing_keys(directory: Path) -> tuple[RSAKey, ...]:
    """Return the keys, the one that signs first; a key is made if there is none."""
    path = directory / _FILE
    if not path.exists():
        key = RSAKey.generate_key(_BITS, {"use": "sig", "alg": "RS256"}, auto_kid=True)
        write_private(path, json.dumps({"keys": [key.as_dict(private=True)]}).encode())
    try:
        keys = KeySet.import_key_set(json.loads(path.read_bytes())).keys
    except (ValueError, KeyError, TypeError, JoseError):
        raise damaged(path, "it is no set of keys") from None  # the cause may quote the key
    if not keys or not all(isinstance(key, RSAKey) and key.is_private and key.kid for key in keys):
        raise damaged(path, "it has to hold private RSA keys, each with its kid")
    return tuple(key for key in keys if isinstance(key, RSAKey))


def public_keys(keys: Sequence[Key]) -> dict[str, Any]:
    """Return the JSON Web Key Set of the public halves."""
    return {"keys": [key.as_dict(private=False) for key in keys]}


def import_public_keys(document: Any) -> tuple[RSAKey | ECKey | OKPKey, ...]:
    """Read a JSON Web Key Set of public keys; `ValueError` if one is symmetric, weak or has no kid."""
    try:
        keys = KeySet.import_key_set(document).keys
    except (KeyError, TypeError, AttributeError, JoseError) as error:
        raise ValueError("it is no JSON Web Key Set") from error
    for key in keys:
        if not isinstance(key, RSAKey | ECKey | OKPKey):
            raise ValueError("symmetric keys verify nothing")  # noqa: TRY004 - a wrong value in a file
        if not key.kid:
            raise ValueError("every key needs its kid")
        if isinstance(key, RSAKey) and key.public_key.key_size < _BITS:
            raise ValueError(f"RSA keys need {_BITS} bits")
    return tuple(
        type(key).import_key(key.as_dict(private=False)) for key in keys if isinstance(key, RSAKey | ECKey | OKPKey)
    )
