"""What a platform can answer with that the common error tree has no word for."""

from __future__ import annotations

from flyteform.errors import FlyteformError, InvalidInputError


class ConfigurationError(InvalidInputError):
    """The connection settings are missing, contradict each other or cannot be read."""

    code = "InvalidConfiguration"


class AccessDeniedError(FlyteformError):
    """The platform does not know the caller, or the caller may not do this."""

    code = "AccessDenied"


class UnsupportedError(FlyteformError):
    """The platform has no such call: it is an older one, or not a FlyteAdmin."""

    code = "Unsupported"


class ServerError(FlyteformError):
    """The platform failed inside; the message is its own."""

    code = "ServerError"
