"""What issuers of tokens would answer: where their keys are, and the keys."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]
_DISCOVERY = "/.well-known/openid-configuration"
_KEYS = {"keys": [{"kty": "RSA", "kid": "example", "use": "sig", "alg": "RS256", "n": "AQAB", "e": "AQAB"}]}


# Of Azure, that answers what the subscription may have.
_USAGES = {
    "value": [
        {"name": {"value": name}, "currentValue": 0, "limit": limit}
        for name, limit in (("standardDSv5Family", 4096), ("standardNCADSA100v4Family", 192))
    ]
}


def _answer(arguments: Json) -> Json:
    url = arguments["url"]
    if "/usages?" in url:
        return {"id": url, "url": url, "statusCode": 200, "responseBody": json.dumps(_USAGES)}
    body = {"jwks_uri": url.removesuffix(_DISCOVERY) + "/keys"} if url.endswith(_DISCOVERY) else _KEYS
    return {"id": url, "url": url, "statusCode": 200, "responseBody": json.dumps(body)}


OUTPUTS: dict[str, Callable[[str, Json], Json]] = {}
INVOKES: dict[str, Callable[[Json], Json]] = {"http:index/getHttp:getHttp": _answer}
