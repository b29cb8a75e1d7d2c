"""The keys that a cloud signs service-account tokens with: read once while provisioning, and pinned from then on."""

from __future__ import annotations

import json

import pulumi_http as http

import pulumi
from flyteform_platform.errors import PlatformError

_OK = 200


def issuer_keys(issuer: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return the JSON Web Key Set of a public issuer, as its discovery document says where it is.

    The issuer is that of the cluster which this program makes, never one that a caller names. Clouds replace their keys
    (EKS each week, keeping the old ones until their tokens have ended): `pulumi up` pins the new ones.
    """
    address = pulumi.Output.concat(issuer, "/.well-known/openid-configuration")
    found = http.get_http_output(url=address).apply(_body)
    keys = http.get_http_output(url=found.apply(lambda text: str(json.loads(text)["jwks_uri"])))
    return keys.apply(_body)


def _body(answer: http.GetHttpResult) -> str:
    if answer.status_code != _OK:
        raise PlatformError(f"{answer.url} answers {answer.status_code}: the issuer's keys cannot be pinned")
    return str(answer.response_body)
