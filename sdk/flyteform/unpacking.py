"""Code bundles in a task's container: fetched once, unpacked once, and put first on the import path."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from flyteform.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

BUNDLE_DIR = "FLYTEFORM_BUNDLE_DIR"  # names the directory in which attempts on one machine share unpacked bundles
_DEFAULT_DIR = ".flyteform-bundles"


def use_bundle(uri: str, fetch: Callable[[str], bytes]) -> Path:
    """Put the code of a bundle first on the import path, and return its directory.

    The directory is named by a digest of the URI, which never changes its content, and appears complete or not at
    all, so any number of attempts may start at once. Raises `InvalidInputError` if the object is no bundle.
    """
    base = Path(os.environ.get(BUNDLE_DIR) or _DEFAULT_DIR).absolute()
    directory = base / hashlib.sha256(uri.encode()).hexdigest()[:32]
    if not directory.is_dir():
        _unpack(uri, fetch(uri), directory)
    sys.path.insert(0, str(directory))
    return directory


def _unpack(uri: str, data: bytes, directory: Path) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=directory.parent))
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            _extract(archive, partial)
        partial.chmod(0o755)
        partial.rename(directory)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise InvalidInputError(f"{uri} is no code bundle: {error}") from error
    except OSError:
        if not directory.is_dir():  # another attempt may have been first, which is as good
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _extract(archive: tarfile.TarFile, directory: Path) -> None:
    """Write the archive's files below the directory; refuse links, devices and paths that lead out of it.

    tarfile's own filter does the same and more, but Python has it only from 3.11.4 on.
    """
    for member in archive:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            raise tarfile.TarError(f"{member.name!r} leads out of the bundle")
        if member.isdir():
            continue
        content = archive.extractfile(member) if member.isfile() else None
        if content is None:
            raise tarfile.TarError(f"{member.name!r} is no regular file")
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.read())
