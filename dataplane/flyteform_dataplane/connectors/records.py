"""Which jobs exist at connectors, kept among the objects so that they are found again after a crash."""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
from typing import TYPE_CHECKING

from flyteform.errors import NotFoundError

if TYPE_CHECKING:
    from flyteform.objects.ports import ObjectStore

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """A job: which attempt it is, who runs it, and what they know it by.

    An `abandoned` one is wanted no more: what is left to do is to delete it.
    """

    name: str
    address: str
    task_type: str
    version: int
    meta: bytes
    output_prefix: str
    abandoned: bool = False


class Records:
    """The jobs of a data plane, by the names of their attempts."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._prefix = f"{objects.prefix}/metadata/connectors"
        self._known: dict[str, Record] = {}

    async def load(self) -> None:
        """Read what an earlier run has left."""
        async for info in self._objects.list(f"{self._prefix}/"):
            try:
                record = _decoded(await self._objects.get(info.uri))
            except NotFoundError:
                continue
            except (ValueError, TypeError, KeyError):
                logger.warning("%s describes no job", info.uri)
                continue
            self._known[record.name] = record

    def get(self, name: str) -> Record | None:
        """Return the job of an attempt."""
        return self._known.get(name)

    def of(self, prefix: str) -> list[Record]:
        """Return the jobs of attempts whose names begin so."""
        return [record for name, record in self._known.items() if name.startswith(prefix)]

    async def save(self, record: Record) -> None:
        """Keep the job; it is durable when this returns."""
        self._known[record.name] = record
        fields = {**dataclasses.asdict(record), "meta": base64.b64encode(record.meta).decode()}
        await self._objects.put(self._uri(record.name), json.dumps(fields).encode())

    async def remove(self, name: str) -> None:
        """Keep the job no more."""
        if self._known.pop(name, None) is not None:
            await self._objects.delete(self._uri(name))

    def _uri(self, name: str) -> str:
        return f"{self._prefix}/{name}.json"


def _decoded(content: bytes) -> Record:
    fields = json.loads(content)
    return Record(**{**fields, "meta": base64.b64decode(fields["meta"])})
