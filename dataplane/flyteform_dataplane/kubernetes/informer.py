"""What a collection of objects holds, kept up to date: one list, then a watch from there on."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Protocol

from flyteform.errors import FlyteformError
from flyteform_dataplane.kubernetes.api import ExpiredError, ThrottledError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flyteform_dataplane.kubernetes.profile import Json

logger = logging.getLogger(__name__)

_PAGE = "500"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0


class Collection(Protocol):
    """The part of an API server that is needed."""

    async def get(self, path: str, **query: str) -> Json:
        """Return an object or a list."""
        ...

    def watch(self, path: str, version: str, **query: str) -> AsyncIterator[tuple[str, Json]]:
        """Yield changes from a resource version on."""
        ...


class Informer:
    """Keeps the objects of one collection that match a label selector.

    `observe` is called with every object that is new or has changed, and with False when it is gone. Whatever happens
    between two watches is found by the list that follows. Objects are those of the last change: never change them.
    """

    def __init__(
        self,
        api: Collection,
        path: str,
        observe: Callable[[Json, bool], None],
        *,
        selector: str = "",
        source: random.Random | None = None,
    ) -> None:
        self._api = api
        self._path = path
        self._observe = observe
        self._query = {"labelSelector": selector} if selector else {}
        self._random = source or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._objects: dict[tuple[str, str], Json] = {}
        self._synced = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to list and watch, until `stop`."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the watch."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def synced(self) -> None:
        """Wait until the first list has been taken in."""
        await self._synced.wait()

    def get(self, namespace: str, name: str) -> Json | None:
        """Return an object as it was seen last."""
        return self._objects.get((namespace, name))

    async def _run(self) -> None:
        pause = _FIRST_PAUSE
        version = ""
        while True:
            try:
                version = version or await self._list()
                self._synced.set()
                version = await self._watch(version)
                pause = _FIRST_PAUSE
            except ExpiredError:
                version = ""
            except FlyteformError as error:
                # A watch that broke off goes on where it was: what was missed meanwhile comes first.
                pause = min(2 * pause, _LONGEST_PAUSE)
                after = error.after if isinstance(error, ThrottledError) else pause * self._random.uniform(0.5, 1)
                logger.warning("watching %s broke off, again in %.1f s: %s", self._path, after, error.message)
                await asyncio.sleep(after)

    async def _list(self) -> str:
        """Take in the whole collection, page by page; what is not in it any more is gone."""
        found: set[tuple[str, str]] = set()
        token, version = "", ""
        while not version or token:
            page = await self._api.get(self._path, limit=_PAGE, **({"continue": token} if token else {}), **self._query)
            for item in page["items"]:
                found.add(_key(item))
                self._take(item)
            token, version = page["metadata"].get("continue", ""), page["metadata"]["resourceVersion"]
        for key in [key for key in self._objects if key not in found]:
            self._observe(self._objects.pop(key), False)
        return version

    async def _watch(self, version: str) -> str:
        """Take in changes until the server ends the watch; return from where to go on."""
        try:
            async for kind, item in self._api.watch(self._path, version, **self._query):
                if kind == "DELETED":
                    self._objects.pop(_key(item), None)
                    self._observe(item, False)
                elif kind != "BOOKMARK":
                    self._take(item)
                version = item["metadata"]["resourceVersion"]
        except FlyteformError as error:
            if isinstance(error, ExpiredError):
                raise
            logger.info("the watch of %s at version %s ended: %s", self._path, version, error.message)
            await asyncio.sleep(_FIRST_PAUSE * self._random.uniform(0.5, 1))
        return version

    def _take(self, item: Json) -> None:
        known = self._objects.get(_key(item))
        if known is None or known["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
            self._objects[_key(item)] = item
            self._observe(item, True)


def _key(item: Json) -> tuple[str, str]:
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
