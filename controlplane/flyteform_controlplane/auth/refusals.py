"""Why a client gets no token."""

from __future__ import annotations


class InvalidClientError(Exception):
    """There is no such client, or its secret is another one."""


class InvalidScopeError(Exception):
    """The client may have none of the scopes that it asks for."""
