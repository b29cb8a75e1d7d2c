"""Signed URLs for a store without signing of its own: HMAC-SHA256 over method, path, expiry and content MD5."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode

from flyteform.errors import FlyteformError, InvalidInputError
from flyteform.objects.ports import SignedUrl

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from flyteform.objects.ports import Method

_METHODS: dict[str, Method] = {"GET": "GET", "HEAD": "GET", "PUT": "PUT"}
KEY_BYTES = 32
MD5_BYTES = 16


class SignatureRefusedError(FlyteformError):
    """A URL is not exactly one that was signed, or its time is over."""

    code = "SignatureRefused"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a valid signed URL allows: one method on one object, and with `md5` that content alone."""

    path: str
    method: Method
    md5: bytes | None


class UrlSigner:
    """Signs and verifies URLs below `base_url` (no slash at its end), under which the objects are served.

    `key` has at least 32 bytes and stays secret; `clock` gives Unix seconds.
    """

    def __init__(self, key: bytes, base_url: str, *, clock: Callable[[], float] = time.time) -> None:
        if len(key) < KEY_BYTES:
            raise InvalidInputError(f"a signing key needs at least {KEY_BYTES} bytes, this one has {len(key)}")
        self._key = key
        self._base_url = base_url
        self._clock = clock

    def sign(self, path: str, method: Method, expires_in: timedelta, *, md5: bytes | None = None) -> SignedUrl:
        """Return the URL for one method on the object `path` (relative, not encoded)."""
        expires = str(int(self._clock() + expires_in.total_seconds()))
        encoded = base64.b64encode(md5).decode() if md5 is not None else ""
        query = {"method": method, "expires": expires, "signature": self._signature(method, path, expires, encoded)}
        if encoded:
            query["md5"] = encoded
        headers = {"Content-MD5": encoded} if encoded and method == "PUT" else {}
        return SignedUrl(f"{self._base_url}/{quote(path)}?{urlencode(query)}", MappingProxyType(headers))

    def verify(self, method: str, path: str, query: str) -> Grant:
        """Return what the URL allows; `path` is decoded, `query` is raw.

        A URL for GET serves HEAD too. Raises `SignatureRefusedError`, which never says what would have been right.
        """
        wanted = _METHODS.get(method)
        if wanted is None:
            raise SignatureRefusedError(f"no URL is signed for {method}")
        values = _parse(query)
        if "\0" in path:
            raise SignatureRefusedError("the path has a NUL in it")
        md5 = values.get("md5", "")
        signature = self._signature(wanted, path, values["expires"], md5)
        if values["method"] != wanted or not hmac.compare_digest(signature, values["signature"]):
            raise SignatureRefusedError("the signature is not for this method, path, time and content")
        if int(values["expires"]) <= self._clock():
            raise SignatureRefusedError("the URL has expired", remedy="ask for a new one")
        return Grant(path, wanted, decode_md5(md5) if md5 else None)

    def _signature(self, method: str, path: str, expires: str, md5: str) -> str:
        # A path holds no NUL (verified before, and by the store), so no two requests have the same text.
        text = f"{method}\x00{path}\x00{expires}\x00{md5}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()


def decode_md5(text: str) -> bytes:
    """Decode a base64 MD5 as in the header Content-MD5; `InvalidInputError` if it is none."""
    try:
        md5 = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInputError("Content-MD5 is not base64") from error
    if len(md5) != MD5_BYTES:
        raise InvalidInputError(f"Content-MD5 has {len(md5)} bytes instead of {MD5_BYTES}")
    return md5


def _parse(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    values = dict(pairs)
    required = {"method", "expires", "signature"}
    if len(values) != len(pairs) or not required <= values.keys() <= required | {"md5"}:
        raise SignatureRefusedError("the URL is not signed", remedy="ask the platform for a signed URL")
    if not all(value.isascii() for value in values.values()) or not values["expires"].isdigit():
        raise SignatureRefusedError("the URL's signature is malformed")
    return values
