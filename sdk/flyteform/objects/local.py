"""Objects as files below one directory: the embedded platform's store, and how a task reads and writes there."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from flyteform.errors import AlreadyExistsError, InvalidInputError, NotFoundError, UnavailableError
from flyteform.objects import files
from flyteform.objects.ports import ObjectInfo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from datetime import timedelta

    from flyteform.objects.batches import Batches
    from flyteform.objects.ports import Method, SignedUrl
    from flyteform.objects.signing import UrlSigner

T = TypeVar("T")

SCHEME = "file://"
# Below this size a read is over sooner than a thread could start with it.
INLINE_BYTES = 64 * 1024


def read_bytes(uri: str) -> bytes:
    """Return the content of a `file://` URI without an event loop; `NotFoundError` if there is no such file."""
    with _object_errors(uri):
        return _path_of(uri).read_bytes()


def write_bytes(uri: str, data: bytes) -> None:
    """Write a `file://` URI durably and atomically without an event loop, creating its directories."""
    with _object_errors(uri, writing=True):
        files.write(_path_of(uri), data)


class LocalStore:
    """The object store of one machine: `file:///directory/a/b` is the file `a/b` in the directory.

    URIs are taken literally (nothing in them is percent-decoded), as Flyte's clients write them.
    """

    def __init__(self, prefix: str, *, signer: UrlSigner | None = None) -> None:
        self._prefix = prefix.rstrip("/")
        self._root = _path_of(self._prefix).resolve()
        self._signer = signer
        self._batches: Batches | None = None

    @property
    def prefix(self) -> str:
        """The URI of the directory; no slash at its end."""
        return self._prefix

    async def get(self, uri: str, *, limit: int | None = None) -> bytes:
        """Return the content; `NotFoundError` if there is none, `InvalidInputError` if it is over `limit` bytes."""
        with _object_errors(uri):
            path = self.path(uri)
            size = path.stat().st_size
            if limit is not None and size > limit:
                raise InvalidInputError(f"{uri} has {size} bytes, more than the {limit} that are allowed here")
            return path.read_bytes() if size <= INLINE_BYTES else await _in_thread(path.read_bytes)

    async def put(self, uri: str, data: bytes, *, if_absent: bool = False, durable: bool = True) -> None:
        """Store the content; with `if_absent` raise `AlreadyExistsError` rather than replace an object."""
        with _object_errors(uri, writing=True):
            path = self.path(uri)
            if len(data) > INLINE_BYTES:
                await _in_thread(lambda: files.write(path, data, if_absent=if_absent, durable=durable))
            elif not durable:
                files.write(path, data, if_absent=if_absent, durable=False)
            else:
                await self._write_with_others(path, data, if_absent=if_absent)

    async def fetch(self, uri: str, target: Path) -> None:
        """Write the content to a file, in pieces; `NotFoundError` if there is none."""
        import shutil  # start-up has no need of it

        with _object_errors(uri):
            path = self.path(uri)
            await _in_thread(lambda: shutil.copyfile(path, target))

    async def store(self, source: Path, uri: str) -> None:
        """Store a file's content, in pieces."""
        with _object_errors(uri, writing=True):
            path = self.path(uri)
            await _in_thread(lambda: files.copy(source, path))

    async def head(self, uri: str) -> ObjectInfo | None:
        """Describe the object, or return None if there is none."""
        try:
            with _object_errors(uri):
                path = self.path(uri)
                size = path.stat().st_size
                md5 = files.md5_of(path) if size <= INLINE_BYTES else await _in_thread(lambda: files.md5_of(path))
        except NotFoundError:
            return None
        return ObjectInfo(uri, size, md5)

    async def delete(self, uri: str) -> None:
        """Remove the object; removing what is not there is no error."""
        try:
            with _object_errors(uri):
                self.path(uri).unlink()
        except NotFoundError:
            return

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield the objects whose URI starts with `prefix`, in order of URI; their MD5 is left unknown."""
        below = "" if prefix.rstrip("/") == self._prefix else self._relative(prefix.removesuffix("/"))
        if prefix.endswith("/") and below:
            below += "/"
        directory = below.rpartition("/")[0]
        found = await _in_thread(lambda: list(files.walk(self._root, directory + "/" if directory else "")))
        for path, size in found:
            if path.startswith(below):
                yield ObjectInfo(f"{self._prefix}/{path}", size, None)

    async def sign(self, uri: str, method: Method, expires_in: timedelta, *, md5: bytes | None = None) -> SignedUrl:
        """Return a URL for one method on one object; with `md5` only that content may be put."""
        self.path(uri)
        if self._signer is None:
            raise InvalidInputError(
                f"URLs below {self._prefix} cannot be signed: the store was opened without a signer"
            )
        return self._signer.sign(self._relative(uri), method, expires_in, md5=md5)

    @contextmanager
    def staged(self, uri: str) -> Iterator[files.StagedFile]:
        """Write an object piece by piece (blocking); it is seen whole, after its `commit`, or never."""
        with _object_errors(uri, writing=True), files.staged(self.path(uri)) as file:
            yield file

    def path(self, uri: str) -> Path:
        """Return the file behind the URI; `InvalidInputError` if that is not below the prefix, links followed."""
        relative = self._relative(uri)
        path = self._root / relative
        # A link that leads out must not be read or written through, wherever in the path it is.
        if _has_link(str(self._root), relative) and not path.resolve().is_relative_to(self._root):
            raise InvalidInputError(f"{uri} leads out of {self._prefix}")
        return path

    async def _write_with_others(self, path: Path, data: bytes, *, if_absent: bool) -> None:
        # Here, so that a task's process, which needs the blocking half alone, does not pay for asyncio.
        from flyteform.objects.batches import Batches, Write

        if self._batches is None:
            self._batches = Batches()
        await self._batches.write(Write(path, data, if_absent=if_absent))

    def _relative(self, uri: str) -> str:
        if not uri.startswith(self._prefix + "/"):
            raise InvalidInputError(f"{uri!r} is not below {self._prefix}")
        relative = uri[len(self._prefix) + 1 :]
        _refuse_unsafe(uri, relative)
        return relative


def _has_link(root: str, relative: str) -> bool:
    """Say whether any part of the path below the root is a link: most paths have none, and need not be resolved."""
    path = root
    for part in relative.split("/"):
        path = f"{path}/{part}"
        try:
            if stat.S_ISLNK(os.lstat(path).st_mode):
                return True
        except OSError:
            # What is not there, or cannot be there, leads nowhere.
            return False
    return False


def _path_of(uri: str) -> Path:
    path = uri.removeprefix(SCHEME)
    if not uri.startswith(SCHEME) or not path.startswith("/"):
        raise InvalidInputError(f"{uri!r} is not a URI of the form file:///absolute/path")
    _refuse_unsafe(uri, path[1:])
    return Path(path)


def _refuse_unsafe(uri: str, path: str) -> None:
    segments = path.split("/")
    if "\0" in path or any(segment in ("", ".", "..") for segment in segments):
        raise InvalidInputError(f"{uri!r} is not a plain path: it has an empty, '.' or '..' part, or a NUL in it")
    if any(segment.startswith(files.TEMPORARY_PREFIX) for segment in segments):
        raise InvalidInputError(f"{uri!r} has a part that starts with {files.TEMPORARY_PREFIX}, which is reserved")


@contextmanager
def _object_errors(uri: str, *, writing: bool = False) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise AlreadyExistsError(f"{uri} exists already") from error
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        if writing:
            raise InvalidInputError(f"{uri} cannot be an object: an object and others below it share a name") from error
        raise NotFoundError(f"there is no object {uri}") from error
    except (OSError, UnicodeEncodeError) as error:
        if isinstance(error, UnicodeEncodeError) or error.errno in (errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP):
            raise InvalidInputError(f"{uri!r} is no name that this file system can hold") from error
        raise UnavailableError(f"{uri}: {error.strerror or error}") from error


async def _in_thread(work: Callable[[], T]) -> T:
    # Here, so that a task's process, which needs the blocking half alone, does not pay for asyncio.
    import asyncio

    return await asyncio.to_thread(work)
