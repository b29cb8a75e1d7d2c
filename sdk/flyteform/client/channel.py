"""Open the channel: plain text or TLS, keepalive that servers accept, sizes, and the place where logins plug in."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Protocol

import grpc
import grpc.aio

from flyteform.client.errors import ConfigurationError
from flyteform.errors import UnavailableError

if TYPE_CHECKING:
    from flyteform.client.config import ClientConfig

Metadata = tuple[tuple[str, str], ...]

# Closures of large workflows pass gRPC's default of 4 MiB; servers set their own limit on what they accept.
_MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 32 * 1024),
    # Servers with default settings answer GOAWAY to pings on an idle channel, so ping only during calls, and rarely.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


class Authenticator(Protocol):
    """Who the caller is: gives the metadata that every call carries, fetched or refreshed as needed."""

    async def metadata(self) -> Metadata:
        """Return the metadata to send; `AccessDeniedError` if there is no way to log in."""
        ...

    async def refused(self, sent: Metadata) -> bool:
        """Replace what the platform refused; False if there is nothing else to send."""
        ...


class Anonymous:
    """No login: for platforms that do not ask for one."""

    async def metadata(self) -> Metadata:
        """Return nothing to send."""
        return ()

    async def refused(self, sent: Metadata) -> bool:  # noqa: ARG002 - there is nothing to replace
        """Return False."""
        return False


async def open_channel(config: ClientConfig) -> grpc.aio.Channel:
    """Return a channel to the configured endpoint; nothing is sent before the first call."""
    options = list(_OPTIONS)
    if config.insecure:
        return grpc.aio.insecure_channel(config.endpoint, options=options)
    credentials = grpc.ssl_channel_credentials(root_certificates=await _root_certificates(config))
    return grpc.aio.secure_channel(config.endpoint, credentials, options=options)


async def _root_certificates(config: ClientConfig) -> bytes | None:
    """Return the certificates to trust, None for the system's own."""
    if config.ca_file is not None:
        try:
            return config.ca_file.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"cannot read the certificates in {config.ca_file}: {error.strerror}",
                remedy=f"correct caCertFilePath in {config.source}",
            ) from error
    if config.skip_verify:
        return await _presented_certificate(config)
    return None


async def _presented_certificate(config: ClientConfig) -> bytes:
    """Trust whatever the server shows, which is what `insecureSkipVerify` asks for."""
    host, _, port = config.endpoint.rpartition(":")
    try:
        text = await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)), timeout=10)
    except OSError as error:
        raise UnavailableError(
            f"cannot reach {config.endpoint}: {error}", remedy="check the address and that the platform is running"
        ) from error
    return text.encode()
