"""From what `--state` says to the store of a state: a file, a bucket, or the platform itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from flyteform.errors import InvalidInputError
from flyteform.provision.encryption import cipher_of
from flyteform.provision.state_file import FileBackend
from flyteform.provision.state_store import DocumentStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform.client.calls import Caller
    from flyteform.provision.ports import StateBackend

BUCKET_SCHEMES = ("s3", "gs", "az")
SERVICE_SCHEME = "flyteform"


def open_state(
    location: str | Path, caller: Caller | None = None, environ: Mapping[str, str] = os.environ
) -> DocumentStore:
    """Open the state at a path or URL (`s3://`, `gs://`, `az://`, `flyteform://PROJECT/DOMAIN/NAME`).

    `caller` reaches the platform, which the last of these needs. The passphrase comes from the environment.
    `InvalidInputError` for a URL that nothing serves.
    """
    return DocumentStore(open_backend(str(location), caller), cipher_of(environ))


def open_backend(location: str, caller: Caller | None = None) -> StateBackend:
    """Open the place alone, without a passphrase."""
    scheme, separator, _ = location.partition("://")
    if not separator:
        return FileBackend(Path(location).absolute())
    if scheme in BUCKET_SCHEMES:
        return _bucket(location)
    if scheme == SERVICE_SCHEME and caller is not None:
        from flyteform.provision.state_service import ServiceBackend

        return ServiceBackend(location, caller)
    raise InvalidInputError(
        f"there is no place for a state at {location!r}",
        remedy="name a file, s3://BUCKET/NAME.json, gs://…, az://…, or flyteform://PROJECT/DOMAIN/NAME",
    )


def is_url(location: str) -> bool:
    """Tell a URL from a path."""
    return "://" in location


def needs_platform(location: str) -> bool:
    """Tell whether the state is reached by way of the platform."""
    return location.startswith(f"{SERVICE_SCHEME}://")


def _bucket(location: str) -> StateBackend:
    try:
        from flyteform.provision.state_bucket import BucketBackend
    except ModuleNotFoundError as error:
        raise InvalidInputError(
            f"{location} needs what is not installed: {error.name}", remedy="install flyteform[state]"
        ) from error
    return BucketBackend(location)
