"""An API server in memory: what the operator asks of the real one, for tests of what the operator decides."""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING, Any

from flyteform.errors import AlreadyExistsError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Json = dict[str, Any]


class FakeCluster:
    """Keeps objects by their paths and tells watchers of every change; `calls` are the changes that were asked for."""

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {}
        self.calls: list[tuple[str, str]] = []
        self._version = 0
        self._watchers: dict[asyncio.Queue[tuple[str, Json]], str] = {}

    @property
    def watches(self) -> int:
        """How many watches are going on."""
        return len(self._watchers)

    async def get(self, path: str, _read: object = None, /, **query: str) -> Json:
        """Return an object, or all of a collection."""
        if path in self.objects:
            return copy.deepcopy(self.objects[path])
        if _is_object(path):
            raise NotFoundError(f"{path} not found")
        wanted = _labels(query)
        items = [
            copy.deepcopy(item) for where, item in self.objects.items() if _within(where, path) and _has(item, wanted)
        ]
        return {"items": items, "metadata": {"resourceVersion": str(self._version)}}

    async def create(self, path: str, body: Json, **_: str) -> Json:
        """Create an object."""
        where = f"{path}/{body['metadata']['name']}"
        self.calls.append(("create", where))
        if where in self.objects:
            raise AlreadyExistsError(f"{where} exists")
        metadata = {"uid": where, "creationTimestamp": "2026-01-01T00:00:00Z", **body["metadata"]}
        if "/namespaces/" in path:
            metadata["namespace"] = path.split("/namespaces/")[1].split("/", maxsplit=1)[0]
        self._keep(where, {"status": {"phase": "Pending"}, **body, "metadata": metadata}, "ADDED")
        return self.objects[where]

    async def patch(self, path: str, body: Json) -> Json:
        """Merge into an object."""
        self.calls.append(("patch", path))
        if path not in self.objects:
            raise NotFoundError(f"{path} not found")
        self.set(path, body)
        metadata = self.objects[path]["metadata"]
        if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            return self.remove(path)
        return self.objects[path]

    async def delete(self, path: str, _: Json | None = None) -> Json:
        """Delete an object at once, or note that it is to go when no finalizer keeps it."""
        self.calls.append(("delete", path))
        if self.objects.get(path, {}).get("metadata", {}).get("finalizers"):
            self.set(path, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:30Z"}})
            return self.objects[path]
        return self.remove(path)

    def set(self, path: str, body: Json) -> None:
        """Merge into an object, as its kubelet or another would."""
        self._keep(path, _merged(self.objects[path], body), "MODIFIED")

    def remove(self, path: str) -> Json:
        """Remove an object."""
        if path not in self.objects:
            raise NotFoundError(f"{path} not found")
        item = self.objects.pop(path)
        self._tell("DELETED", path, item)
        return item

    async def watch(self, path: str, version: str, _read: object = None, **_: str) -> AsyncIterator[tuple[str, Json]]:
        """Yield changes from now on."""
        assert version == str(self._version), "a change between a list and its watch"
        queue: asyncio.Queue[tuple[str, Json]] = asyncio.Queue()
        self._watchers[queue] = path
        try:
            while True:
                yield await queue.get()
        finally:
            del self._watchers[queue]

    def _keep(self, path: str, item: Json, kind: str) -> None:
        self._version += 1
        item["metadata"]["resourceVersion"] = str(self._version)
        self.objects[path] = item
        self._tell(kind, path, item)

    def _tell(self, kind: str, path: str, item: Json) -> None:
        for queue, collection in self._watchers.items():
            if _within(path, collection):
                queue.put_nowait((kind, copy.deepcopy(item)))


def _is_object(path: str) -> bool:
    return "/namespaces/" in path and len(path.split("/namespaces/")[1].split("/")) > 2


def _within(path: str, collection: str) -> bool:
    """Whether an object is in a collection, of one namespace or of all."""
    root, _, kind = collection.rpartition("/")
    return path.startswith(f"{root}/") and path.split("/")[-2] == kind


def _labels(query: Json) -> Json:
    return dict(one.split("=") for one in query.get("labelSelector", "").split(",") if one)


def _has(item: Json, labels: Json) -> bool:
    return labels.items() <= item["metadata"].get("labels", {}).items()


def _merged(base: Json, over: Json) -> Json:
    result = dict(base)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = _merged(result.get(key) or {}, value)
        else:
            result[key] = value
    return result
