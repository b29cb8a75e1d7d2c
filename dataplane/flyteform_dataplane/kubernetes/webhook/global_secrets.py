"""Secrets of the webhook's own process, for all tasks of the cluster: Flyte's "global" ones, by Flyte's names.

Their values stand in the pods that ask for them, where everybody reads them who may read pods: fit for what is the same
for all, and for nothing that some of them must not know.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from flyteidl.core.security_pb2 import Secret

from flyteform.errors import InvalidInputError
from flyteform_dataplane.kubernetes.webhook.injection import add_variable

if TYPE_CHECKING:
    from flyteform_dataplane.kubernetes.webhook.injection import Json

_VARIABLE_PREFIX = "FLYTE_SECRET_"


class GlobalSecrets:
    """Serves variables `FLYTE_SECRET_<GROUP>_<KEY>` and files `<folder>/<group>/<key>`, as variables only.

    Where a version is asked for, a secret with that between the two is looked for first.

    It is asked before all others, so that a secret it does not have is theirs.
    """

    def __init__(self, folder: Path = Path("/etc/secrets")) -> None:
        self._folder = folder

    async def inject(self, secret: Secret, spec: Json) -> None:
        """Add the value as a variable; `InvalidInputError` if there is none, or if a file is wanted."""
        if secret.mount_requirement == Secret.FILE:
            raise InvalidInputError("global secrets are variables only")
        value = self._value(secret) if secret.group and secret.key else None
        if value is None:
            raise InvalidInputError(f"there is no global secret {secret.key!r} in group {secret.group!r}")
        add_variable(secret, spec, {"value": value})

    def _value(self, secret: Secret) -> str | None:
        """Return the value by Flyte's name, which has no version; one with the version in it goes before."""
        plain = (secret.group, secret.key)
        versioned = (secret.group, secret.group_version, secret.key) if secret.group_version else plain
        ways = dict.fromkeys((versioned, plain))
        named = (os.environ.get(_VARIABLE_PREFIX + "_".join(parts).upper()) for parts in ways)
        # As they are written, and as files of mounted secrets are called.
        written = (self._read(each) for parts in ways for each in (parts, tuple(map(str.lower, parts))))
        return next((value for value in (*named, *written) if value is not None), None)

    def _read(self, parts: tuple[str, ...]) -> str | None:
        if any(part in (".", "..") or "/" in part or "\0" in part for part in parts):
            return None  # what a pod asks for must not lead out of the folder
        try:
            return self._folder.joinpath(*parts).read_text().strip()
        except (OSError, UnicodeDecodeError):
            return None
