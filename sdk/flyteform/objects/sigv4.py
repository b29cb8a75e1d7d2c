"""Signed URLs for S3 that bind headers too (AWS Signature Version 4 in the query): what S3 libraries leave out."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNSIGNED = "UNSIGNED-PAYLOAD"  # the content is bound by its Content-MD5


@dataclass(frozen=True, slots=True)
class Credentials:
    """Keys of one AWS identity; `token` belongs to temporary ones."""

    key: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs for one region."""

    credentials: Credentials
    region: str

    def sign(self, method: str, url: str, headers: Mapping[str, str], expires_in: timedelta, at: datetime) -> str:
        """Return the URL with a signature for the method and these very headers (`url` is encoded, without a query).

        `at` is the present time in UTC; the URL is good for whole seconds from then on.
        """
        parts = urlsplit(url)
        signed = {name.lower(): value.strip() for name, value in headers.items()} | {"host": parts.netloc}
        names = ";".join(sorted(signed))
        scope = f"{at:%Y%m%d}/{self.region}/s3/aws4_request"
        query = {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{self.credentials.key}/{scope}",
            "X-Amz-Date": f"{at:%Y%m%dT%H%M%SZ}",
            "X-Amz-Expires": str(int(expires_in.total_seconds())),
            "X-Amz-SignedHeaders": names,
        }
        if self.credentials.token:
            query["X-Amz-Security-Token"] = self.credentials.token
        text = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(query.items()))
        lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        request = f"{method}\n{parts.path}\n{text}\n{lines}\n{names}\n{_UNSIGNED}"
        digest = hashlib.sha256(request.encode()).hexdigest()
        to_sign = f"{_ALGORITHM}\n{query['X-Amz-Date']}\n{scope}\n{digest}"
        signature = hmac.new(self._key(at), to_sign.encode(), hashlib.sha256).hexdigest()
        return f"{url}?{text}&X-Amz-Signature={signature}"

    def _key(self, at: datetime) -> bytes:
        key = f"AWS4{self.credentials.secret}".encode()
        for part in (f"{at:%Y%m%d}", self.region, "s3", "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return key
