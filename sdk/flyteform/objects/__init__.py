"""The object-store port and its adapters: where inputs, outputs, closures and code bundles lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform.errors import InvalidInputError

if TYPE_CHECKING:
    from flyteform.objects.ports import FileStore
    from flyteform.objects.signing import UrlSigner

__all__ = ["open_store"]


def open_store(prefix: str, *, signer: UrlSigner | None = None) -> FileStore:
    """Open the store that holds the objects below `prefix` (`file:///absolute/directory` or `s3://bucket/prefix`).

    `signer` makes signed URLs for a store that has no signing of its own; without it `sign` is refused.
    Keys and endpoint of S3 come from the AWS_* environment variables. `InvalidInputError` for a scheme that no
    adapter serves.
    """
    scheme, separator, _ = prefix.partition("://")
    if separator and scheme == "file":
        from flyteform.objects.local import LocalStore

        return LocalStore(prefix, signer=signer)
    if separator and scheme == "s3":
        return _s3_store(prefix)
    raise InvalidInputError(
        f"there is no object store for {prefix!r}",
        remedy="use a prefix of the form file:///absolute/directory or s3://bucket/prefix",
    )


def _s3_store(prefix: str) -> FileStore:
    try:
        from flyteform.objects.s3 import S3Store
    except ModuleNotFoundError as error:
        raise InvalidInputError(
            f"{prefix} needs what is not installed: {error.name}", remedy="install flyteform[s3]"
        ) from error
    return S3Store(prefix)
