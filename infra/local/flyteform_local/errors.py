"""What the embedded platform can be refused or fail with."""

from __future__ import annotations

from flyteform.errors import ConflictError, FlyteformError


class PlatformError(FlyteformError):
    """The embedded platform cannot start or has broken down."""

    code = "Platform"


class StateDirectoryInUseError(ConflictError, PlatformError):
    """Another embedded platform holds the state directory."""

    code = "StateDirectoryInUse"
