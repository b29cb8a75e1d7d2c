"""The webhook's server: HTTPS, with a certificate from files that whoever issued it renews."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web
from pydantic import BaseModel, ValidationError, field_validator

from flyteform.errors import InvalidInputError
from flyteform_dataplane.kubernetes.probes import listen
from flyteform_dataplane.kubernetes.webhook.injection import KubernetesSecrets, injected
from flyteform_dataplane.kubernetes.webhook.manifest import PATH
from flyteform_dataplane.kubernetes.webhook.requests import secrets_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from flyteform_dataplane.kubernetes.webhook.injection import SecretManager

Json = dict[str, Any]

logger = logging.getLogger(__name__)

_LARGEST = 8 * 1024 * 1024  # bytes of a request: an object of Kubernetes is at most 1.5 MiB, and a review has two
_LOOK = 10.0  # seconds between two looks at whether the certificate was renewed


class _Metadata(BaseModel):
    name: str = ""
    annotations: dict[str, str] | None = None


class _Named(BaseModel):
    name: str


class _Container(_Named):
    env: list[_Named] | None = None
    volumeMounts: list[_Named] | None = None  # noqa: N815 - Kubernetes' name


class _Spec(BaseModel):
    containers: list[_Container]
    initContainers: list[_Container] | None = None  # noqa: N815 - Kubernetes' name
    volumes: list[_Named] | None = None


class _Pod(BaseModel):
    metadata: _Metadata
    spec: Json

    @field_validator("spec")
    @classmethod
    def _is_sound(cls, spec: Json) -> Json:
        """Keep all of it, the parts that are changed being what they have to be."""
        _Spec.model_validate(spec)
        return spec


class _Request(BaseModel):
    uid: str
    object: _Pod


class _Review(BaseModel):
    """The part of an AdmissionReview that is looked at."""

    request: _Request


@dataclass(frozen=True, slots=True)
class Certificate:
    """The files of a certificate with its chain, and of its key."""

    chain: Path
    key: Path

    def load(self, context: ssl.SSLContext) -> None:
        """Use it for all connections that begin from now on; `InvalidInputError` where it is none."""
        try:
            context.load_cert_chain(self.chain, self.key)
        except (OSError, ssl.SSLError) as error:
            raise InvalidInputError(f"the certificate {self.chain} with its key {self.key} is none: {error}") from error

    def version(self) -> tuple[float, ...]:
        """Return what changes when it is renewed."""
        return tuple(path.stat().st_mtime for path in (self.chain, self.key) if path.exists())


@contextlib.asynccontextmanager
async def serving(
    host: str, port: int, certificate: Certificate, managers: Sequence[SecretManager] = (KubernetesSecrets(),),
    *, look: float = _LOOK,
) -> AsyncIterator[int]:  # fmt: skip
    """Serve until the context ends; yields the port.

    `InvalidInputError` for a certificate that is none, `ConflictError` for a port that is taken.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    version = certificate.version()
    certificate.load(context)
    runner = web.AppRunner(application(managers), access_log=None)
    await runner.setup()
    renewing = asyncio.create_task(_renew(certificate, context, version, look))
    try:
        await listen(web.TCPSite(runner, host, port, ssl_context=context), f"{host}:{port}", "--port")
        yield runner.addresses[0][1]
    finally:
        renewing.cancel()
        await runner.cleanup()


def application(managers: Sequence[SecretManager]) -> web.Application:
    """Return what answers reviews and questions after its health."""

    async def review(request: web.Request) -> web.Response:
        try:
            asked = _Review.model_validate_json(await request.read()).request
            answer = await _answer(asked, managers)
        except ValidationError as error:
            raise web.HTTPBadRequest(text="this is no AdmissionReview") from error
        document = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer}
        return web.json_response(document)

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    made = web.Application(client_max_size=_LARGEST)
    made.add_routes([web.post(PATH, review), web.get("/healthz", healthy)])
    return made


async def _answer(asked: _Request, managers: Sequence[SecretManager]) -> Json:
    pod = asked.object
    try:
        wanted = secrets_of(pod.metadata.annotations or {})
        spec = await injected(pod.spec, wanted, managers)
    except InvalidInputError as error:
        logger.info("pod %s is refused: %s", pod.metadata.name, error.message)
        return {"uid": asked.uid, "allowed": False, "status": {"code": 400, "message": error.message}}
    if spec == pod.spec:
        return {"uid": asked.uid, "allowed": True}
    patch = json.dumps([{"op": "replace", "path": "/spec", "value": spec}]).encode()
    encoded = base64.b64encode(patch).decode("ascii")
    return {"uid": asked.uid, "allowed": True, "patchType": "JSONPatch", "patch": encoded}


async def _renew(certificate: Certificate, context: ssl.SSLContext, version: tuple[float, ...], look: float) -> None:
    while True:
        await asyncio.sleep(look)
        found = certificate.version()
        if found != version:
            try:
                certificate.load(context)
            except InvalidInputError as error:
                logger.warning("the old certificate serves on: %s", error.message)
            else:
                version = found
                logger.info("the certificate was renewed")
