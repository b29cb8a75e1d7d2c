"""The connection to the control plane, and how long to wait before trying again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc.aio

from flyteform_dataplane.credentials import TokenFile, token_interceptors

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform_dataplane.credentials import Token

_TLS = "grpcs://"
# gRPC's own pause between attempts to connect grows to two minutes; a control plane that restarts is back in seconds.
# A closure travels in one message, so the limit is far above the 4 MiB that gRPC allows by itself.
_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", 256 << 20),
    ("grpc.max_send_message_length", 256 << 20),
)


def open_channel(address: str, token_file: Path | None = None, *, token: Token | None = None) -> grpc.aio.Channel:
    """Return a channel to `host:port` with a token, or the one in the file; it connects when it is used.

    `grpcs://host:port` speaks TLS with whom the authorities of gRPC's default roots vouch for.
    """
    shown = TokenFile(token_file) if token is None and token_file is not None else token
    interceptors = token_interceptors(shown) if shown is not None else ()
    if address.startswith(_TLS):
        credentials = grpc.ssl_channel_credentials()
        return grpc.aio.secure_channel(address.removeprefix(_TLS), credentials, _OPTIONS, interceptors=interceptors)
    return grpc.aio.insecure_channel(address, options=_OPTIONS, interceptors=interceptors)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double from `first` to `longest` seconds, each with jitter so that many callers spread out."""

    first: float = 0.05
    longest: float = 2.0

    def pause(self, failures: int) -> float:
        """Return the seconds to wait after this many failures in a row."""
        full: float = min(self.longest, self.first * 2 ** min(max(failures - 1, 0), 16))
        return full * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
