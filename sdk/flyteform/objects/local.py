"""Objects as files below one directory: the embedded platform's store, and how a task reads and writes there."""

# ruff: noqa: PTH116 - a Path costs more than the system call that it makes
from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from flyteform.errors import AlreadyExistsError, InvalidInputError, NotFoundError, UnavailableError
from flyteform.objects import files
from flyteform.objects.places import Places, path_of
from flyteform.objects.ports import ObjectInfo

if TYPE_CHECKING:
    import builtins
    from collections.abc import AsyncIterator, Callable, Iterator
    from datetime import timedelta

    from flyteform.errors import FlyteformError
    from flyteform.objects.batches import Batches
    from flyteform.objects.ports import Method, SignedUrl
    from flyteform.objects.signing import UrlSigner

T = TypeVar("T")

# Below this size a read is over sooner than a thread could start with it.
INLINE_BYTES = 64 * 1024
# As many names in folders are looked at sooner than a thread could start with it.
INLINE_NAMES = 64
_NO_OBJECT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


def read_bytes(uri: str) -> bytes:
    """Return the content of a `file://` URI without an event loop; `NotFoundError` if there is no such file."""
    try:
        return files.read(os.open(path_of(uri), os.O_RDONLY))
    except (OSError, UnicodeEncodeError) as error:
        raise _trouble(uri, error) from error


def write_bytes(uri: str, data: bytes) -> None:
    """Write a `file://` URI durably and atomically without an event loop, creating its directories."""
    try:
        directory, _, name = path_of(uri).rpartition("/")
        files.make_directories(directory)
        folder = files.open_folder(directory)
        try:
            files.write(folder, name, data)
        finally:
            os.close(folder)
    except (OSError, UnicodeEncodeError) as error:
        raise _trouble(uri, error, writing=True) from error


class LocalStore:
    """The object store of one machine: `file:///directory/a/b` is the file `a/b` in the directory.

    URIs are taken literally (nothing in them is percent-decoded), as Flyte's clients write them.
    """

    def __init__(self, prefix: str, *, signer: UrlSigner | None = None) -> None:
        self._places = Places(prefix)
        self._signer = signer
        self._batches: Batches | None = None

    @property
    def prefix(self) -> str:
        """The URI of the directory; no slash at its end."""
        return self._places.prefix

    async def get(self, uri: str, *, limit: int | None = None) -> bytes:
        """Return the content; `NotFoundError` if there is none, `InvalidInputError` if it is over `limit` bytes."""
        try:
            descriptor = self._places.reading(uri)
            try:
                size = os.fstat(descriptor).st_size
                if limit is not None and size > limit:
                    raise InvalidInputError(f"{uri} has {size} bytes, more than the {limit} that are allowed here")
                if size <= INLINE_BYTES:
                    return files.read_all(descriptor, size)
            finally:
                os.close(descriptor)
            return await _in_thread(lambda: files.read(self._places.reading(uri)))
        except (OSError, UnicodeEncodeError) as error:
            raise _trouble(uri, error) from error

    async def put(self, uri: str, data: bytes, *, if_absent: bool = False, durable: bool = True) -> None:
        """Store the content; with `if_absent` raise `AlreadyExistsError` rather than replace an object."""
        try:
            if len(data) > INLINE_BYTES:
                await _in_thread(lambda: self._write(uri, data, if_absent=if_absent, durable=durable))
            elif not durable:
                self._write(uri, data, if_absent=if_absent, durable=False)
            else:
                await self._batched().write(uri, data, if_absent=if_absent)
        except (OSError, UnicodeEncodeError) as error:
            raise _trouble(uri, error, writing=True) from error

    async def fetch(self, uri: str, target: Path) -> None:
        """Write the content to a file, in pieces; `NotFoundError` if there is none."""
        import shutil  # start-up has no need of it

        try:
            path = self._places.file(uri)
            await _in_thread(lambda: shutil.copyfile(path, target))
        except (OSError, UnicodeEncodeError) as error:
            raise _trouble(uri, error) from error

    async def store(self, source: Path, uri: str) -> None:
        """Store a file's content, in pieces."""
        try:
            await _in_thread(lambda: self._copy(source, uri))
        except (OSError, UnicodeEncodeError) as error:
            raise _trouble(uri, error, writing=True) from error

    async def head(self, uri: str) -> ObjectInfo | None:
        """Describe the object, or return None if there is none."""
        try:
            path = self._places.file(uri)
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
            folder, name = self._places.folder(uri, syncing=False)
            try:
                self._places.refuse_link(uri, folder, name)
                os.unlink(name, dir_fd=folder)
            finally:
                os.close(folder)
        except _NO_OBJECT:
            return
        except (OSError, UnicodeEncodeError) as error:
            raise _trouble(uri, error) from error

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield the objects whose URI starts with `prefix`, in order of URI; their MD5 is left unknown."""
        below = "" if prefix.rstrip("/") == self.prefix else self._places.relative(prefix.removesuffix("/"))
        if prefix.endswith("/") and below:
            below += "/"
        try:
            found = await self._walk(below)
        except (OSError, UnicodeEncodeError) as error:
            raise _trouble(prefix, error) from error
        for path, size in found:
            yield ObjectInfo(f"{self.prefix}/{path}", size, None)

    async def sign(self, uri: str, method: Method, expires_in: timedelta, *, md5: bytes | None = None) -> SignedUrl:
        """Return a URL for one method on one object; with `md5` only that content may be put."""
        self.path(uri)
        if self._signer is None:
            raise InvalidInputError(f"URLs below {self.prefix} cannot be signed: the store was opened without a signer")
        return self._signer.sign(self._places.relative(uri), method, expires_in, md5=md5)

    @contextmanager
    def staged(self, uri: str) -> Iterator[files.StagedFile]:
        """Write an object piece by piece (blocking); it is seen whole, after its `commit`, or never."""
        try:
            folder, name = self._places.target(uri)
            try:
                with files.staged(folder, name) as file:
                    yield file
            finally:
                os.close(folder)
        except (OSError, UnicodeEncodeError) as error:
            raise _trouble(uri, error, writing=True) from error

    def path(self, uri: str) -> Path:
        """Return the file behind the URI; `InvalidInputError` if that is not below the prefix, links followed."""
        return Path(self._places.file(uri))

    async def _walk(self, below: str) -> builtins.list[tuple[str, int]]:
        folder = below.rpartition("/")[0]
        if folder:
            # What lies behind a link that leads out is not even to be named.
            self._places.file(f"{self.prefix}/{folder}")
        try:
            return files.walk(self._places.root, below, most=INLINE_NAMES)
        except files.ManyNamesError:
            return await _in_thread(lambda: files.walk(self._places.root, below))

    def _write(self, uri: str, data: bytes, *, if_absent: bool, durable: bool) -> None:
        folder, name = self._places.target(uri, syncing=durable)
        try:
            files.write(folder, name, data, if_absent=if_absent, durable=durable)
        finally:
            os.close(folder)

    def _copy(self, source: Path, uri: str) -> None:
        folder, name = self._places.target(uri)
        try:
            files.copy(source, folder, name)
        finally:
            os.close(folder)

    def _batched(self) -> Batches:
        if self._batches is None:
            # Here, so that a task's process, which needs the blocking half alone, does not pay for asyncio.
            from flyteform.objects.batches import Batches

            self._batches = Batches(self._places.target)
        return self._batches


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
