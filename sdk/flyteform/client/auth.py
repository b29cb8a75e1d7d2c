"""Logging in: a token for a client's secret, or from a command; fetched when a platform first asks for one."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import ssl
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlencode, urlsplit

import grpc.aio
from flyteidl.service import auth_pb2

from flyteform.client.channel import Anonymous
from flyteform.client.errors import AccessDeniedError
from flyteform.client.login import ClientSecretLogin, CommandLogin
from flyteform.errors import UnavailableError

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from flyteform.client.channel import Authenticator, Metadata
    from flyteform.client.config import ClientConfig

_SERVICE = "/flyteidl.service.AuthMetadataService"
_PLAIN_KEY = "authorization"
_PROXY_KEY = "proxy-authorization"
_TIMEOUT = 30.0  # seconds
_COMMAND_TIMEOUT = 120.0  # seconds: it may ask its user something
_MARGIN = 30.0  # seconds before its end in which a token is not used any more
_MAX_ANSWER = 1 << 20


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and when it ends by the monotonic clock."""

    text: str = field(repr=False)
    ends_at: float = float("inf")


def authenticator_for(config: ClientConfig, channel: grpc.aio.Channel) -> Authenticator:
    """Return what the configuration asks for."""
    inner: Authenticator = Anonymous()
    match config.login:
        case ClientSecretLogin():
            inner = ClientSecretAuthenticator(config, config.login, channel)
        case CommandLogin():
            inner = CommandAuthenticator(config.login.command, channel)
        case None:
            pass
    return ProxyAuthenticator(config.proxy_command, inner) if config.proxy_command else inner


class TokenAuthenticator(ABC):
    """Sends nothing until the platform asks for a login; from then on a token, renewed before it ends."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._token: Token | None = None
        self._key = _PLAIN_KEY
        self._lock = asyncio.Lock()

    async def metadata(self) -> Metadata:
        """Return the token; `AccessDeniedError` if there is no new one when the former has ended."""
        if self._token is None:
            return ()
        if self._token.ends_at - _MARGIN < time.monotonic():
            await self.refused(self._metadata())
        return self._metadata()

    async def refused(self, sent: Metadata) -> bool:
        """Fetch a token in place of the one that was sent; many calls that are refused at once fetch one."""
        async with self._lock:
            if self._metadata() == sent:
                public = await self._ask("GetPublicClientConfig", auth_pb2.PublicClientAuthConfigResponse)
                self._key = (public.authorization_metadata_key or _PLAIN_KEY).lower()
                self._token = await self.fetch(public)
        return True

    @abstractmethod
    async def fetch(self, public: auth_pb2.PublicClientAuthConfigResponse) -> Token:
        """Return a new token; `AccessDeniedError` or `UnavailableError` if there is none."""

    def _metadata(self) -> Metadata:
        return ((self._key, f"Bearer {self._token.text}"),) if self._token is not None else ()

    async def _ask(self, method: str, response: type[Any]) -> Any:
        request: Message = auth_pb2.PublicClientAuthConfigRequest()  # as empty as the other one
        call = self._channel.unary_unary(
            f"{_SERVICE}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        try:
            return await call(request, timeout=_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            raise AccessDeniedError(
                f"the platform asks for a login and does not say how: {error.details() or error.code().name}",
                remedy="ask whoever runs it",
            ) from error


class ClientSecretAuthenticator(TokenAuthenticator):
    """The client credentials grant of OAuth 2, at the token endpoint that the platform names."""

    def __init__(self, config: ClientConfig, login: ClientSecretLogin, channel: grpc.aio.Channel) -> None:
        super().__init__(channel)
        self._config = config
        self._login = login

    async def fetch(self, public: auth_pb2.PublicClientAuthConfigResponse) -> Token:
        """Exchange the secret for a token."""
        metadata = await self._ask("GetOAuth2Metadata", auth_pb2.OAuth2MetadataResponse)
        endpoint = metadata.token_endpoint
        self._check(endpoint)
        form = {"grant_type": "client_credentials"}
        if scopes := self._login.scopes or tuple(public.scopes):
            form["scope"] = " ".join(scopes)
        if audience := self._login.audience or public.audience:
            form["audience"] = audience
        return await asyncio.to_thread(_exchange, self._config, endpoint, form, self._authorization())

    def _check(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise AccessDeniedError("the platform names no token endpoint", remedy="ask whoever runs it")
        if parts.scheme == "http" and not self._config.insecure:
            raise AccessDeniedError(
                f"the platform's token endpoint {endpoint} is not encrypted, so the secret is not sent there",
                remedy="have the platform give its public address with https",
            )

    def _authorization(self) -> str:
        # Each part form-encoded, says RFC 6749 section 2.3.1.
        pair = f"{quote_plus(self._login.client_id)}:{quote_plus(self._secret())}"
        return "Basic " + base64.b64encode(pair.encode()).decode()

    def _secret(self) -> str:
        login = self._login
        secret = os.environ.get(login.secret_variable, "").strip() if login.secret_variable else ""
        if secret or login.secret_file is None:
            return secret or self._no_secret(f"the environment variable {login.secret_variable} is not set")
        try:
            return login.secret_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            return self._no_secret(f"cannot read {login.secret_file}: {reason}")

    def _no_secret(self, reason: str) -> str:
        remedy = f"correct admin.clientSecretLocation in {self._config.source}"
        raise AccessDeniedError(f"the secret of client {self._login.client_id} is missing: {reason}", remedy=remedy)


class CommandAuthenticator(TokenAuthenticator):
    """A token from a command's standard output; what the command says to its user goes past us."""

    def __init__(self, command: tuple[str, ...], channel: grpc.aio.Channel) -> None:
        super().__init__(channel)
        self._command = command

    async def fetch(self, public: auth_pb2.PublicClientAuthConfigResponse) -> Token:  # noqa: ARG002 - it knows by itself
        """Run the command."""
        return Token(await run_command(self._command))


class ProxyAuthenticator:
    """Adds a token for a proxy in front of the platform, from a command that runs once."""

    def __init__(self, command: tuple[str, ...], inner: Authenticator) -> None:
        self._command = command
        self._inner = inner
        self._token: Token | None = None
        self._lock = asyncio.Lock()

    async def metadata(self) -> Metadata:
        """Return the proxy's token and what the platform itself needs."""
        async with self._lock:
            self._token = self._token or Token(await run_command(self._command))
        return ((_PROXY_KEY, f"Bearer {self._token.text}"), *await self._inner.metadata())

    async def refused(self, sent: Metadata) -> bool:
        """Fetch both again."""
        async with self._lock:
            if self._token is not None and (_PROXY_KEY, f"Bearer {self._token.text}") in sent:
                self._token = None
        await self._inner.refused(tuple(pair for pair in sent if pair[0] != _PROXY_KEY))
        return True


async def run_command(command: tuple[str, ...]) -> str:
    """Return what the command prints; `AccessDeniedError` if it fails, without its output, which may be a token."""
    try:
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    except OSError as error:
        raise AccessDeniedError(
            f"the login command {command[0]} cannot be started: {error.strerror}", remedy="correct admin.command"
        ) from error
    try:
        # Not by wait_for: before Python 3.12 it loses a cancellation that comes with the answer.
        async with asyncio.timeout(_COMMAND_TIMEOUT):
            output, _ = await process.communicate()
    except BaseException as error:
        process.kill()
        await process.wait()
        if not isinstance(error, TimeoutError):
            raise
        raise AccessDeniedError(
            f"the login command {command[0]} did not end", remedy="run it by hand to see why"
        ) from error
    token = output.decode("ascii", "replace").strip()
    if process.returncode or not token:
        what = f"failed with exit code {process.returncode}" if process.returncode else "printed no token"
        raise AccessDeniedError(f"the login command {command[0]} {what}", remedy="run it by hand to see why")
    return token


def _exchange(config: ClientConfig, endpoint: str, form: dict[str, str], authorization: str) -> Token:
    headers = {
        "authorization": authorization,
        "content-type": "application/x-www-form-urlencoded",
        "accept": "application/json",
    }
    started = time.monotonic()
    status, body = _post(config, endpoint, urlencode(form), headers)
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {}
    if status != HTTPStatus.OK:
        reason = str(document.get("error_description") or document.get("error") or status)
        raise AccessDeniedError(
            f"{endpoint} gives no token: {reason}", remedy=f"check clientId and clientSecretLocation in {config.source}"
        )
    token, lifetime = document.get("access_token"), document.get("expires_in", float("inf"))
    if not isinstance(token, str) or not isinstance(lifetime, int | float):
        raise AccessDeniedError(f"what {endpoint} answers is no token", remedy="ask whoever runs the platform")
    return Token(token, started + lifetime)


def _post(config: ClientConfig, endpoint: str, body: str, headers: dict[str, str]) -> tuple[int, bytes]:
    parts = urlsplit(endpoint)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path or "/"
    try:
        if parts.scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.netloc, timeout=_TIMEOUT, context=_tls(config)
            )
        else:
            connection = http.client.HTTPConnection(parts.netloc, timeout=_TIMEOUT)
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            return response.status, response.read(_MAX_ANSWER)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(
            f"cannot reach the token endpoint {endpoint}: {error}", remedy="check that this machine may connect to it"
        ) from error


def _tls(config: ClientConfig) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(config.ca_file) if config.ca_file is not None else None)
    if config.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
