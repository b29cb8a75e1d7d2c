"""What both planes and the task entry point ask of an object store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from datetime import timedelta
    from pathlib import Path

Method = Literal["GET", "PUT"]


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One stored object: its URI, its size in bytes and the MD5 of its content (16 raw bytes).

    `md5` is None only in a listing whose store would have to read every object to know it.
    """

    uri: str
    size: int
    md5: bytes | None


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """A URL that lets its holder do one method on one object until `expires_in` has passed.

    `headers` have to be sent with the request, as they are part of what was signed.
    """

    url: str
    headers: Mapping[str, str]


class ObjectStore(Protocol):
    """Objects named by URI (`file://…`, later `s3://…`, `gs://…`, `abfs://…`) below one `prefix`.

    Every method raises `InvalidInputError` for a URI outside the prefix or with `..` in it, and
    `UnavailableError` when the store cannot be reached. A `put` is durable when it returns and is atomic:
    readers see the old object or the whole new one.
    """

    @property
    def prefix(self) -> str:
        """The URI that all objects of this store start with; no slash at its end."""
        ...

    async def get(self, uri: str, *, limit: int | None = None) -> bytes:
        """Return the content; `NotFoundError` if there is none, `InvalidInputError` if it is over `limit` bytes."""
        ...

    async def put(self, uri: str, data: bytes, *, if_absent: bool = False, durable: bool = True) -> None:
        """Store the content; with `if_absent` raise `AlreadyExistsError` rather than replace an object.

        Without `durable` the machine's sudden end may take the object, or its content, with it: for what can be made
        again. It is atomic all the same.
        """
        ...

    async def head(self, uri: str) -> ObjectInfo | None:
        """Describe the object, or return None if there is none."""
        ...

    async def delete(self, uri: str) -> None:
        """Remove the object; removing what is not there is no error."""
        ...

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield the objects whose URI starts with `prefix`, in order of URI."""
        ...

    async def sign(self, uri: str, method: Method, expires_in: timedelta, *, md5: bytes | None = None) -> SignedUrl:
        """Return a URL for one method on one object; with `md5` only that content may be put."""
        ...


class FileStore(ObjectStore, Protocol):
    """A store that files are copied to and from, however large they are."""

    async def fetch(self, uri: str, target: Path) -> None:
        """Write the content to a file, in pieces; `NotFoundError` if there is none."""
        ...

    async def store(self, source: Path, uri: str) -> None:
        """Store a file's content, in pieces."""
        ...


async def any_below(objects: ObjectStore, uri: str) -> bool:
    """Say whether there is an object below a URI, of a folder that is."""
    async for _ in objects.list(f"{uri.rstrip('/')}/"):
        return True
    return False
