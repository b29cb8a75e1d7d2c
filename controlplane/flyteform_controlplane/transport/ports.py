"""TCP ports: taken before anything is started, with a clear refusal if they are not free."""

from __future__ import annotations

import errno
import os
import socket

from flyteform.errors import ConflictError, FlyteformError, InvalidInputError

BACKLOG = 2048


def listen(host: str, port: int, *, flag: str) -> socket.socket:
    """Return a listening socket; port 0 picks a free one.

    `ConflictError` if the port is in use: its message names `flag`, by which the user chooses another.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay off only where the protocol is named: without it every answer takes 40 ms more.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _refusal(host, port, flag, error) from error
    listener.setblocking(False)
    return listener


def probe(host: str, port: int, *, flag: str) -> None:
    """Raise what `listen` would, for a server that can only bind by itself."""
    listen(host, port, flag=flag).close()


def _refusal(host: str, port: int, flag: str, error: OSError) -> FlyteformError:
    remedy = f"choose another with {flag}, or 0 for any free one"
    if error.errno == errno.EADDRINUSE:
        return ConflictError(f"port {port} on {host} is in use", remedy=f"stop what uses it, or {remedy}")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return InvalidInputError(f"port {port} on {host} cannot be opened: {reason}", remedy=remedy)
