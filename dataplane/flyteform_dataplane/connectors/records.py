"""Which jobs exist at connectors: kept among the objects, where whoever has the execution next finds them."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import logging
from typing import TYPE_CHECKING

from flyteform.errors import NotFoundError

if TYPE_CHECKING:
    from flyteform.objects.ports import ObjectStore

logger = logging.getLogger(__name__)

_AT_ONCE = 32  # records that are read together: a bucket answers many as fast as one
_LOOK = 0.5  # seconds between looks at whether somebody has heard of a job


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """A job: which attempt it is, who runs it, and what they know it by.

    One that is being `created` may exist or not: somebody has asked for it and not heard yet. An `abandoned` one is
    wanted no more: what is left to do is to delete it.
    """

    name: str
    address: str
    task_type: str
    version: int
    meta: bytes
    output_prefix: str
    created: bool = True
    abandoned: bool = False


class Records:
    """The jobs of a data plane, by the names of their attempts. Nothing is remembered, as others write them too."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._prefix = f"{objects.prefix}/metadata/connectors"

    async def get(self, name: str) -> Record | None:
        """Return the job of an attempt."""
        return await self._read(self._uri(name))

    async def answered(self, name: str, seconds: float) -> Record | None:
        """Return the job once it is known to exist, or to be wanted no more; None if there is none.

        One that somebody asked for and did not hear of for so long is none: nobody waits longer for an answer.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        while True:
            record = await self.get(name)
            if record is None or record.created:
                return record
            if clock() > deadline:
                await self.remove(name)
                return None
            await asyncio.sleep(_LOOK)

    async def of(self, prefix: str) -> list[Record]:
        """Return the jobs of attempts whose names begin so."""
        uris = [info.uri async for info in self._objects.list(f"{self._prefix}/{prefix}")]
        found: list[Record | None] = []
        for first in range(0, len(uris), _AT_ONCE):
            found += await asyncio.gather(*map(self._read, uris[first : first + _AT_ONCE]))
        return [record for record in found if record is not None]

    async def save(self, record: Record) -> None:
        """Keep the job; it is durable when this returns."""
        fields = {**dataclasses.asdict(record), "meta": base64.b64encode(record.meta).decode()}
        await self._objects.put(self._uri(record.name), json.dumps(fields).encode())

    async def remove(self, name: str) -> None:
        """Keep the job no more."""
        await self._objects.delete(self._uri(name))

    async def _read(self, uri: str) -> Record | None:
        try:
            return _decoded(await self._objects.get(uri))
        except NotFoundError:
            return None
        except (ValueError, TypeError, KeyError):
            logger.warning("%s describes no job", uri)
            return None

    def _uri(self, name: str) -> str:
        return f"{self._prefix}/{name}.json"


def _decoded(content: bytes) -> Record:
    fields = json.loads(content)
    return Record(**{**fields, "meta": base64.b64decode(fields["meta"])})
