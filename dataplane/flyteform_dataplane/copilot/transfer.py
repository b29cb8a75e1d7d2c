"""Files to objects and back, wherever the objects lie."""

from __future__ import annotations

import asyncio
import shutil
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from flyteform.errors import NotFoundError, UnavailableError
from flyteform.objects import open_store
from flyteform_dataplane.copilot.folders import below, own

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform.objects.ports import FileStore

_HTTP_TIMEOUT = 60.0  # seconds without a byte


def read(uri: str) -> bytes:
    """Return the content of an object."""
    uri = _normal(uri)
    return asyncio.run(_store(uri).get(uri))


def write(uri: str, data: bytes) -> None:
    """Store an object."""
    asyncio.run(_store(uri).put(uri, data))


def fetch_file(uri: str, target: Path) -> None:
    """Copy one object, or what a web server gives, into a file."""
    if uri.startswith(("http://", "https://")):
        _fetch_from_web(uri, target)
    else:
        uri = _normal(uri)
        asyncio.run(_store(uri).fetch(uri, target))


def fetch_folder(uri: str, target: Path) -> None:
    """Copy all objects below a URI into a folder, which exists afterwards even if there are none.

    `InvalidInputError` for an object whose name would lead out of the folder: others may have written it.
    """
    target.mkdir(parents=True, exist_ok=True)
    base = f"{_normal(uri).rstrip('/')}/"
    for found in asyncio.run(_below(base)):
        file = below(target, found.removeprefix(base))
        file.parent.mkdir(parents=True, exist_ok=True)
        fetch_file(found, file)


def store_file(source: Path, uri: str) -> None:
    """Copy a file into an object."""
    asyncio.run(_store(uri).store(source, uri))


def store_folder(source: Path, uri: str) -> None:
    """Copy all files of a folder into objects below a URI; `InvalidInputError` for a link that leads elsewhere."""
    for path in sorted(source.rglob("*")):
        own(path, source)
        if path.is_file():
            store_file(path, f"{uri}/{path.relative_to(source).as_posix()}")


def _normal(uri: str) -> str:
    """Return the URI; flytekit names raw data on the same machine by plain paths."""
    return f"file://{uri}" if uri.startswith("/") else uri


async def _below(base: str) -> list[str]:
    return [info.uri async for info in _store(base).list(base)]


def _store(uri: str) -> FileStore:
    """Open the store of a URI: a file's is its folder, another's its bucket."""
    scheme, _, rest = uri.partition("://")
    return open_store(uri.rpartition("/")[0] if scheme == "file" else f"{scheme}://{rest.partition('/')[0]}")


def _fetch_from_web(uri: str, target: Path) -> None:
    try:
        answer = urllib.request.urlopen(uri, timeout=_HTTP_TIMEOUT)  # noqa: S310 - the scheme was looked at
        with answer, target.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except urllib.error.HTTPError as error:
        raise NotFoundError(f"{uri} was refused: {error.code} {error.reason}") from error
    except OSError as error:
        raise UnavailableError(f"{uri} cannot be fetched: {error}") from error
