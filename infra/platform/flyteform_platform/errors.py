"""Errors of platform programs: shown by Pulumi as one message, without a traceback."""

from __future__ import annotations

import pulumi


class PlatformError(pulumi.RunError):
    """What a person has to change; the message says where and to what."""


class ConfigError(PlatformError):
    """A stack's configuration cannot be: each problem with the path of its field."""
