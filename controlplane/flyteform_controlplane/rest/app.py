"""The HTTP application: health, OpenAPI, objects, and the gateway for everything else."""

from __future__ import annotations

import json
from functools import cache, partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match, Route

from flyteform_controlplane.domain.principals import OPEN_METHODS
from flyteform_controlplane.metrics import CONTENT_TYPE
from flyteform_controlplane.rest.browsers import LOOPBACK_ORIGIN, LoopbackOnly
from flyteform_controlplane.rest.gateway import Gateway
from flyteform_controlplane.rest.guard import Guard
from flyteform_controlplane.rest.oauth import JWKS_PATH, TOKEN_PATH, oauth_routes
from flyteform_controlplane.rest.objects import PREFIX
from flyteform_controlplane.rest.openapi import openapi
from flyteform_controlplane.transport.authentication import bearer_token
from flyteform_controlplane.transport.calls import REQUEST_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from flyteform_controlplane.auth.authority import Authority
    from flyteform_controlplane.metrics import Metrics
    from flyteform_controlplane.readiness import Readiness
    from flyteform_controlplane.transport.methods import Method

HEALTH_PATH = "/healthcheck"
READY_PATH = "/readyz"
CORS_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
CORS_HEADERS = ("Content-Type", "Content-MD5", "authorization", "flyte-authorization", REQUEST_ID)


def http_app(
    methods: Sequence[Method],
    readiness: Readiness,
    objects: ASGIApp | None,
    *,
    version: str,
    origins: Sequence[str],
    reach: Readiness | None = None,
    authority: Authority | None = None,
    metrics: Metrics | None = None,
) -> ASGIApp:
    """Assemble the application; without `objects` the store signs its URLs for a service of its own.

    `reach` has what the platform needs beside itself: without it there is nothing to send calls here for, and nothing
    that a new start would mend. `origins` are those of the pages that may call; with none given only pages that are
    served from loopback may.
    With an `authority`, all but health, login and signed URLs is for those who have a token.
    """
    gateway = Gateway(methods)

    @cache
    def document() -> bytes:
        return json.dumps(openapi(gateway.routes, title="flyteform", version=version)).encode()

    async def api(_request: Request) -> Response:
        return Response(document(), media_type="application/json")

    async def rest(scope: Scope, receive: Receive, send: Send) -> None:
        app = objects if objects is not None and scope["path"].startswith(PREFIX) else gateway
        await app(scope, receive, send)

    routes: list[BaseRoute] = [
        Route(HEALTH_PATH, partial(_health, (readiness,))),
        Route(READY_PATH, partial(_health, (readiness, reach) if reach is not None else (readiness,))),
        Route("/api/v1/openapi", api),
        _AllElse(rest),
    ]
    if metrics is not None:
        routes.insert(0, Route("/metrics", partial(_metrics, metrics)))
    middleware = _browsers(origins)
    if authority is not None:
        routes[:0] = oauth_routes(authority)
        middleware.append(_guard(authority, gateway, (PREFIX,) if objects is not None else ()))
    return Starlette(routes=routes, middleware=middleware)


class _AllElse(BaseRoute):
    """Every path that is left, whatever is in it: patterns of Starlette's know no line breaks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match all of HTTP."""
        return Match.FULL if scope["type"] == "http" else Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it."""
        await self._app(scope, receive, send)


async def _health(parts: Sequence[Readiness], _request: Request) -> Response:
    missing = [part for each in parts for part in each.missing()]
    return JSONResponse({"ready": not missing, "waiting_for": missing}, 503 if missing else 200)


async def _metrics(metrics: Metrics, _request: Request) -> Response:
    return Response(await metrics.scrape(), media_type=CONTENT_TYPE)


def _guard(authority: Authority, gateway: Gateway, prefixes: tuple[str, ...]) -> Middleware:
    """Name the paths for those who have no token, below `prefixes` too; whatever else is added needs one."""
    login = [route.template for route in gateway.routes if route.method.name in OPEN_METHODS]
    return Middleware(
        Guard,
        admit=lambda metadata: authority.authenticate(bearer_token(metadata)),
        open_paths=(HEALTH_PATH, READY_PATH, TOKEN_PATH, JWKS_PATH, *login),
        open_prefixes=prefixes,
    )


def _browsers(origins: Sequence[str]) -> list[Middleware]:
    """Say which pages may call, and refuse the others where `origins` does not let every page in."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_origin_regex=LOOPBACK_ORIGIN,
        allow_methods=CORS_METHODS,
        allow_headers=CORS_HEADERS,
    )
    return [cors] if "*" in origins else [Middleware(LoopbackOnly, origins=origins), cors]
