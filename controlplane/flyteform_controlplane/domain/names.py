"""Names of executions (contract 1.4)."""

from __future__ import annotations

import re
import secrets
import string

from flyteform_controlplane.errors import InvalidArgumentError

_NAME = re.compile(r"[a-z][a-z\-0-9]*")
_MAX_LENGTH = 63
_RANDOM_LENGTH = 19
_ALPHABET = string.ascii_lowercase + string.digits


def execution_name(requested: str) -> str:
    """Return the requested name once it is checked, or a random one if none was requested."""
    if not requested:
        return "a" + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    if len(requested) > _MAX_LENGTH:
        raise InvalidArgumentError(f"length of name should be at most {_MAX_LENGTH} characters")
    if not _NAME.fullmatch(requested):
        raise InvalidArgumentError(
            f"invalid name format: {requested}",
            remedy="start with a lower-case letter; go on with lower-case letters, digits and '-'",
        )
    return requested
