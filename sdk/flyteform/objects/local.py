"""Objects as files below one directory: the embedded platform's store, and how a task reads and writes there."""

# ruff: noqa: PTH108, PTH116 - a Path costs more than the system call that it makes
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

    from flyteform.errors import FlyteformError
    from flyteform.objects.batches import Batches
    from flyteform.objects.ports import Method, SignedUrl
    from flyteform.objects.signing import UrlSigner

T = TypeVar("T")

SCHEME = "file://"
# Below this size a read is over sooner than a thread could start with it.
INLINE_BYTES = 64 * 1024
# As many names in folders are looked at sooner than a thread could start with it.
INLINE_NAMES = 64
_NO_OBJECT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


def read_bytes(uri: str) -> bytes:
    """Return the content of a `file://` URI without an event loop; `NotFoundError` if there is no such file."""
    try:
        return files.read(_path_of(uri))
    except (OSError, UnicodeEncodeError) as error:
        raise _trouble(uri, error) from error


def write_bytes(uri: str, data: bytes) -> None:
    """Write a `file://` URI durably and atomically without an event loop, creating its directories."""
    try:
        files.write(_path_of(uri), data)
    except (OSError, UnicodeEncodeError) as error:
        raise _trouble(uri, error, writing=True) from error


class LocalStore:
    """The object store of one machine: `file:///directory/a/b` is the file `a/b` in the directory.

    URIs are taken literally (nothing in them is percent-decoded), as Flyte's clients write them.
    """

    def __init__(self, prefix: str, *, signer: UrlSigner | None = None) -> None:
        self._prefix = prefix.rstrip("/")
        # Nothing for the machine's own root, so that every path is this, a slash and what is below.
        self._root = os.path.realpath(_path_of(self._prefix)).rstrip("/")
        self._signer = signer
        self._batches: Batches | None = None

    @property
    def prefix(self) -> str:
        """The URI of the directory; no slash at its end."""
        return self._prefix

    async def get(self, uri: str, *, limit: int | None = None) -> bytes:
        """Return the content; `NotFoundError` if there is none, `InvalidInputError` if it is over `limit` bytes."""
        try:
            path = self._file(uri)
            descriptor = os.open(path, os.O_RDONLY)
            try:
                size = os.fstat(descriptor).st_size
                if limit is not None and size > limit:
                    raise InvalidInputError(f"{uri} has {size} bytes, more than the {limit} that are allowed here")
                if size <= INLINE_BYTES:
                    return files.read_all(descriptor, size)
            finally:
                os.close(descriptor)
            return await _in_thread(lambda: files.read(path))
        except (OSError, UnicodeEncodeError) as error:
            raise _trouble(uri, error) from error

    async def put(self, uri: str, data: bytes, *, if_absent: bool = False, durable: bool = True) -> None:
        """Store the content; with `if_absent` raise `AlreadyExistsError` rather than replace an object."""
        try:
            path = self._file(uri)
            if len(data) > INLINE_BYTES:
                await _in_thread(lambda: files.write(path, data, if_absent=if_absent, durable=durable))
            elif not durable:
                files.write(path, data, if_absent=if_absent, durable=False)
            else:
                await self._batched().write(path, data, if_absent=if_absent)
        except (OSError, UnicodeEncodeError) as error:
            raise _trouble(uri, error, writing=True) from error

    async def fetch(self, uri: str, target: Path) -> None:
        """Write the content to a file, in pieces; `NotFoundError` if there is none."""
        import shutil  # start-up has no need of it

        try:
            path = self._file(uri)
            await _in_thread(lambda: shutil.copyfile(path, target))
        except (OSError, UnicodeEncodeError) as error:
            raise _trouble(uri, error) from error

    async def store(self, source: Path, uri: str) -> None:
        """Store a file's content, in pieces."""
        try:
            path = self._file(uri)
            await _in_thread(lambda: files.copy(source, path))
        except (OSError, UnicodeEncodeError) as error:
            raise _trouble(uri, error, writing=True) from error

    async def head(self, uri: str) -> ObjectInfo | None:
        """Describe the object, or return None if there is none."""
        try:
            path = self._file(uri)
            size = os.stat(path).st_size
            md5 = files.md5_of(path) if size <= INLINE_BYTES else await _in_thread(lambda: files.md5_of(path))
        except _NO_OBJECT:
            return None
        except (OSError, UnicodeEncodeError) as error:
            raise _trouble(uri, error) from error
        return ObjectInfo(uri, size, md5)

    async def delete(self, uri: str) -> None:
        """Remove the object; removing what is not there is no error."""
        try:
            os.unlink(self._file(uri))
        except _NO_OBJECT:
            return
        except (OSError, UnicodeEncodeError) as error:
            raise _trouble(uri, error) from error

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield the objects whose URI starts with `prefix`, in order of URI; their MD5 is left unknown."""
        below = "" if prefix.rstrip("/") == self._prefix else self._relative(prefix.removesuffix("/"))
        if prefix.endswith("/") and below:
            below += "/"
        try:
            found = files.walk(self._root, below, most=INLINE_NAMES)
        except files.ManyNamesError:
            found = await _in_thread(lambda: files.walk(self._root, below))
        for path, size in found:
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
        try:
            with files.staged(self._file(uri)) as file:
                yield file
        except (OSError, UnicodeEncodeError) as error:
            raise _trouble(uri, error, writing=True) from error

    def path(self, uri: str) -> Path:
        """Return the file behind the URI; `InvalidInputError` if that is not below the prefix, links followed."""
        return Path(self._file(uri))

    def _file(self, uri: str) -> str:
        """Return the path behind the URI, as `path` does; all hot paths come by here."""
        relative = self._relative(uri)
        path = self._root
        for part in relative.split("/"):
            path = f"{path}/{part}"
            try:
                mode = os.lstat(path).st_mode
            except OSError:
                break  # what is not there, or cannot be there, leads nowhere
            if stat.S_ISLNK(mode):
                # A link that leads out must not be read or written through, wherever in the path it is.
                self._refuse_outside(uri, f"{self._root}/{relative}")
                break
        return f"{self._root}/{relative}"

    def _refuse_outside(self, uri: str, path: str) -> None:
        if not f"{os.path.realpath(path)}/".startswith(f"{self._root}/"):
            raise InvalidInputError(f"{uri} leads out of {self._prefix}")

    def _batched(self) -> Batches:
        if self._batches is None:
            # Here, so that a task's process, which needs the blocking half alone, does not pay for asyncio.
            from flyteform.objects.batches import Batches

            self._batches = Batches()
        return self._batches

    def _relative(self, uri: str) -> str:
        if not uri.startswith(self._prefix + "/"):
            raise InvalidInputError(f"{uri!r} is not below {self._prefix}")
        relative = uri[len(self._prefix) + 1 :]
        _refuse_unsafe(uri, relative)
        return relative


def _path_of(uri: str) -> str:
    path = uri.removeprefix(SCHEME)
    if not uri.startswith(SCHEME) or not path.startswith("/"):
        raise InvalidInputError(f"{uri!r} is not a URI of the form file:///absolute/path")
    _refuse_unsafe(uri, path[1:])
    return path


def _refuse_unsafe(uri: str, path: str) -> None:
    between = f"/{path}/"
    if "\0" in path or "//" in between or "/./" in between or "/../" in between:
        raise InvalidInputError(f"{uri!r} is not a plain path: it has an empty, '.' or '..' part, or a NUL in it")
    if f"/{files.TEMPORARY_PREFIX}" in between:
        raise InvalidInputError(f"{uri!r} has a part that starts with {files.TEMPORARY_PREFIX}, which is reserved")


def _trouble(uri: str, error: OSError | UnicodeEncodeError, *, writing: bool = False) -> FlyteformError:
    """Say what an error of the file system means for the object."""
    if isinstance(error, FileExistsError):
        return AlreadyExistsError(f"{uri} exists already")
    if isinstance(error, _NO_OBJECT):
        if writing:
            return InvalidInputError(f"{uri} cannot be an object: an object and others below it share a name")
        return NotFoundError(f"there is no object {uri}")
    if isinstance(error, UnicodeEncodeError) or error.errno in (errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP):
        return InvalidInputError(f"{uri!r} is no name that this file system can hold")
    return UnavailableError(f"{uri}: {error.strerror or error}")


async def _in_thread(work: Callable[[], T]) -> T:
    # Here, so that a task's process, which needs the blocking half alone, does not pay for asyncio.
    import asyncio

    return await asyncio.to_thread(work)
