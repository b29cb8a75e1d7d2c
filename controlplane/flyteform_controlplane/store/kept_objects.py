"""Small objects that the control plane writes with a row: kept in the database, in the same transaction as the row.

A closure or the inputs of an execution are mostly a few kilobytes. As objects of their own they would cost a file (or
a request) and two or three waits for the disk each; beside the row that names them they cost next to nothing, and row
and object are there together or not at all. What is large goes to the object store.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, insert, select

from flyteform.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from flyteform.objects.ports import ObjectInfo
from flyteform_controlplane.store.direct import Direct
from flyteform_controlplane.store.memory import Kept
from flyteform_controlplane.store.tables import kept_objects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import timedelta

    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform.objects.ports import Method, ObjectStore, SignedUrl
    from flyteform_controlplane.store.database import Database

SCHEME: Final = "database:"
# What is larger would make the database large, and lies well in an object store.
KEPT_BYTES: Final = 32 * 1024
_MEMORY_BYTES: Final = 4 * 2**20
_INSERT: Final = Direct(insert(kept_objects), ("key", "data"))
_SELECT: Final = Direct(select(kept_objects.c.data).where(kept_objects.c.key == bindparam("key")))


@dataclass(frozen=True, slots=True)
class Placed:
    """New content: its URI for the row that names it, and the content itself while it is to be kept with the row."""

    uri: str
    data: bytes | None = None


class KeptObjects:
    """An object store in front of another one: it serves what is kept in the database, and passes on all else.

    `database:<key>/<path>` names a kept object: `path` is where it is put below the other store's prefix as soon as
    somebody needs a signed URL of it. Kept objects never change, and are not listed.
    """

    def __init__(self, database: Database, objects: ObjectStore) -> None:
        self._database = database
        self._objects = objects
        self._memory = Kept(_MEMORY_BYTES)

    @property
    def prefix(self) -> str:
        """The URI that all objects of the other store start with."""
        return self._objects.prefix

    async def place(self, uri: str, data: bytes) -> Placed:
        """Say where new content is to lie, nothing that is there being touched; what is large is written at once."""
        if len(data) <= KEPT_BYTES:
            return Placed(f"{SCHEME}{_new_key()}/{uri.removeprefix(self.prefix + '/')}", data)
        try:
            await self._objects.put(uri, data, if_absent=True)
        except AlreadyExistsError:
            uri = f"{uri}-{secrets.token_hex(8)}"
            await self._objects.put(uri, data)
        return Placed(uri)

    async def keep(self, tx: AsyncConnection, placed: Placed) -> None:
        """Write what is to be kept, in the transaction that writes the row which names it."""
        if placed.data is not None:
            await _INSERT.send(tx, {"key": _key_of(placed.uri), "data": placed.data})

    async def discard(self, placed: Placed) -> None:
        """Remove what was written at once, as there will be no row that names it."""
        if placed.data is None:
            await self._objects.delete(placed.uri)

    async def get(self, uri: str, *, limit: int | None = None) -> bytes:
        """Return the content, as the port says."""
        if not uri.startswith(SCHEME):
            return await self._objects.get(uri, limit=limit)
        data = await self._read(uri)
        if limit is not None and len(data) > limit:
            raise InvalidInputError(f"{uri} has {len(data)} bytes, more than the {limit} that are allowed here")
        return data

    async def put(self, uri: str, data: bytes, *, if_absent: bool = False, durable: bool = True) -> None:
        """Store the content in the other store."""
        _refuse_kept(uri)
        await self._objects.put(uri, data, if_absent=if_absent, durable=durable)

    async def head(self, uri: str) -> ObjectInfo | None:
        """Describe the object, or return None if there is none."""
        if not uri.startswith(SCHEME):
            return await self._objects.head(uri)
        try:
            data = await self._read(uri)
        except NotFoundError:
            return None
        return ObjectInfo(uri, len(data), _md5(data))

    async def delete(self, uri: str) -> None:
        """Remove the object; removing what is not there is no error."""
        if not uri.startswith(SCHEME):
            await self._objects.delete(uri)
            return
        async with self._database.statement() as tx:
            await tx.execute(delete(kept_objects).where(kept_objects.c.key == _key_of(uri)))
        self._memory.put(uri, None, 0)

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield the objects of the other store whose URI starts with `prefix`."""
        return self._objects.list(prefix)

    async def sign(self, uri: str, method: Method, expires_in: timedelta, *, md5: bytes | None = None) -> SignedUrl:
        """Return a URL for one method on one object; a kept one is copied to the other store first."""
        if uri.startswith(SCHEME):
            if method != "GET":
                _refuse_kept(uri)
            uri = await self._copied(uri)
        return await self._objects.sign(uri, method, expires_in, md5=md5)

    async def _copied(self, uri: str) -> str:
        data = await self._read(uri)
        copy = f"{self.prefix}/{uri.partition('/')[2]}"
        present = await self._objects.head(copy)
        if present is None or present.md5 != _md5(data):
            # It can be made again at any time.
            await self._objects.put(copy, data, durable=False)
        return copy

    async def _read(self, uri: str) -> bytes:
        data: bytes | None = self._memory.get(uri)
        if data is None:
            async with self._database.reading() as tx:
                rows: list[Any] = await _SELECT.fetch(tx, {"key": _key_of(uri)})
            if not rows:
                raise NotFoundError(f"there is no object {uri}")
            data = bytes(rows[0][0])
            self._memory.put(uri, data, len(data))
        return data


def _new_key() -> str:
    """Return a key that nobody else has; later ones sort behind, so that the index grows at its end."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def _key_of(uri: str) -> str:
    return uri.removeprefix(SCHEME).partition("/")[0]


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _refuse_kept(uri: str) -> None:
    if uri.startswith(SCHEME):
        raise InvalidInputError(f"{uri} is kept in the database and never changes")
