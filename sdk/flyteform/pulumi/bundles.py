"""Code bundles between a program and the provider, two processes on one machine: files named by their digest.

So neither Pulumi's state nor its protocol carries code, and a preview on another machine needs none.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile

from flyteform.errors import NotFoundError
from flyteform.provision.bundle import DIGEST_LENGTH


def bundle_folder() -> Path:
    """Return where bundles lie: `FLYTEFORM_BUNDLES`, or below the user's cache."""
    if named := os.environ.get("FLYTEFORM_BUNDLES"):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "flyteform" / "bundles"


def keep_bundle(digest: str, data: bytes) -> None:
    """Leave a bundle for the provider; one that is there already is left as it is."""
    path = _path(digest)
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    Path(file.name).replace(path)


class KeptBundles(Mapping[str, bytes]):
    """The bundles that programs of this machine left; each is read when it is asked for."""

    def __getitem__(self, digest: str) -> bytes:
        """Return a bundle; `NotFoundError` if it is not there, or not what its name says."""
        try:
            data = _path(digest).read_bytes()
            sound = hashlib.sha256(gzip.decompress(data)).hexdigest()[:DIGEST_LENGTH] == digest
        except (OSError, EOFError, zlib.error):
            sound = False
        if not sound:
            _path(digest).unlink(missing_ok=True)
            raise NotFoundError(
                f"the code bundle {digest} is not in {bundle_folder()}",
                remedy="run pulumi up where the program runs, with the same FLYTEFORM_BUNDLES or XDG_CACHE_HOME",
            )
        return data

    def __iter__(self) -> Iterator[str]:
        """Yield the digests."""
        return (path.name.removesuffix(".tar.gz") for path in bundle_folder().glob("*.tar.gz"))

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(1 for _ in self)


def _path(digest: str) -> Path:
    return bundle_folder() / f"{digest}.tar.gz"
