"""The HTTP side of the login: tokens for clients (RFC 6749 section 4.4) and the keys that verify them."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote_plus

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flyteform_controlplane.auth.refusals import InvalidClientError, InvalidScopeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from flyteform_controlplane.auth.authority import Authority

TOKEN_PATH: Final = "/oauth2/token"  # noqa: S105 - a path
JWKS_PATH: Final = "/oauth2/jwks"
MAX_BODY_BYTES: Final = 16 * 1024
_FORM: Final = "application/x-www-form-urlencoded"
_NO_STORE: Final = {"cache-control": "no-store", "pragma": "no-cache"}


class _RefusedError(Exception):
    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.status = status


def oauth_routes(authority: Authority) -> list[Route]:
    """Return the routes of the token endpoint and of the key set."""

    async def token(request: Request) -> Response:
        try:
            document = await _token(authority, request)
        except _RefusedError as refusal:
            headers = {**_NO_STORE, **({"www-authenticate": "Basic"} if refusal.status == 401 else {})}  # noqa: PLR2004 - HTTP
            body = {"error": refusal.error, "error_description": str(refusal)}
            return JSONResponse(body, refusal.status, headers)
        return JSONResponse(document, headers=_NO_STORE)

    async def jwks(_request: Request) -> Response:
        return JSONResponse(authority.jwks())

    return [Route(TOKEN_PATH, token, methods=["POST"]), Route(JWKS_PATH, jwks, methods=["GET"])]


async def _token(authority: Authority, request: Request) -> dict[str, object]:
    form = await _form(request)
    if form.get("grant_type") != "client_credentials":
        raise _RefusedError("unsupported_grant_type", "the grant of this endpoint is client_credentials")
    if form.get("audience", authority.audience) != authority.audience:
        raise _RefusedError("invalid_target", f"the audience of this endpoint is {authority.audience}")
    client, secret = _credentials(request.headers, form)
    try:
        token = await authority.grant(client, secret, form.get("scope", "").split())
    except InvalidClientError:
        raise _RefusedError("invalid_client", "there is no client with this id and secret", 401) from None
    except InvalidScopeError:
        raise _RefusedError("invalid_scope", "the client may not have this scope") from None
    return {
        "access_token": token.text,
        "token_type": "bearer",
        "expires_in": token.expires_in,
        "scope": token.scope,
    }


async def _form(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise _RefusedError("invalid_request", f"the content type has to be {_FORM}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _RefusedError("invalid_request", "the body is too large")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=32)
    except ValueError:
        raise _RefusedError("invalid_request", "the body is malformed") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise _RefusedError("invalid_request", "a parameter is there twice")
    return form


def _credentials(headers: Mapping[str, str], form: Mapping[str, str]) -> tuple[str, str]:
    """Return id and secret from the header, where both are form-encoded (section 2.3.1), or from the body."""
    value = headers.get("authorization", "")
    if not value:
        return form.get("client_id", ""), form.get("client_secret", "")
    if "client_secret" in form:
        raise _RefusedError("invalid_request", "the client's secret is there twice, in the header and in the body")
    scheme, _, encoded = value.partition(" ")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, ValueError):
        text = ""
    client, colon, secret = text.partition(":")
    if not colon:
        raise _RefusedError("invalid_client", "the authorization header has to be of the scheme Basic", 401)
    return unquote_plus(client), unquote_plus(secret)
