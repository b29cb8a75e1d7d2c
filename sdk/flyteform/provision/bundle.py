"""Pack first-party modules so that the same sources give the same bytes, wherever and whenever they are packed."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteform.provision.code import Source

# Stands in a task's arguments where the URI of its bundle goes, which is known only after the upload.
BUNDLE_PLACEHOLDER = "@flyteform-bundle@"
DIGEST_LENGTH = 32  # characters of hexadecimal: 128 bits


@dataclass(frozen=True, slots=True)
class Bundle:
    """A tar.gz whose paths are relative to the source root; `digest` is that of its content before compression."""

    digest: str
    data: bytes


def pack(sources: Iterable[Source]) -> Bundle:
    """Pack the modules of one source root; unpacked into a directory on the import path they can be imported."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for source in sorted(sources, key=lambda each: each.name):
            archive.addfile(_entry(source), io.BytesIO(source.content))
    content = buffer.getvalue()
    # Compressors differ between Python builds, so the name comes from what is inside.
    return Bundle(hashlib.sha256(content).hexdigest()[:DIGEST_LENGTH], gzip.compress(content, mtime=0))


def _entry(source: Source) -> tarfile.TarInfo:
    """Describe a file by its name and size alone: no owner, no time, one mode."""
    path = PurePosixPath(*source.name.split("."))
    entry = tarfile.TarInfo(str(path / "__init__.py" if source.is_package else path.with_name(f"{path.name}.py")))
    entry.size = len(source.content)
    entry.mode = 0o644
    return entry
