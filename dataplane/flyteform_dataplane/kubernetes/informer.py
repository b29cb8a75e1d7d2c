"""What a collection of objects holds, kept up to date: one list, then a watch from there on."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Protocol

from flyteform.errors import FlyteformError, InvalidInputError
from flyteform_dataplane.health import ended
from flyteform_dataplane.kubernetes.api import ExpiredError, ThrottledError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flyteform_dataplane.kubernetes.profile import Json

logger = logging.getLogger(__name__)

_PAGE = "500"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0
_RESYNC = 600.0  # seconds


class Collection(Protocol):
    """The part of an API server that is needed."""

    async def get(self, path: str, /, **query: str) -> Json:
        """Return an object or a list."""
        ...

    async def get_metadata(self, path: str, **query: str) -> Json:
        """Return a list of metadata."""
        ...

    def watch(
        self, path: str, version: str, /, *, metadata_only: bool = False, **query: str
    ) -> AsyncIterator[tuple[str, Json]]:
        """Yield changes from a resource version on."""
        ...


class Informer:
    """Keeps the objects of one collection that match a label selector.

    `observe` is called with every object that is new or has changed, and with False when it is gone. Whatever happens
    between two watches is found by the next one, which goes on where the last one was, or by a list where the server
    has forgotten that place. Every `resync` seconds there is a list anyway, should a change ever get lost.
    Objects are those of the last change: never change them. `keep` makes of an object what is kept of it, which must
    have its metadata's name, namespace and resource version.
    """

    def __init__(
        self,
        api: Collection,
        path: str,
        observe: Callable[[Json, bool], None],
        *,
        selector: str = "",
        metadata_only: bool = False,
        keep: Callable[[Json], Json] = lambda item: item,
        resync: float = _RESYNC,
        source: random.Random | None = None,
    ) -> None:
        self._api = api
        self._path = path
        self._observe = observe
        self._query = {"labelSelector": selector} if selector else {}
        self._metadata_only = metadata_only
        self._keep = keep
        self._resync = resync
        self._listed_at = 0.0
        self._random = source or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._objects: dict[tuple[str, str], Json] = {}
        self._synced = asyncio.Event()
        self._answered = asyncio.Event()
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

    async def answered(self) -> None:
        """Wait until the first list has been taken in, or was refused: it is tried again all the same."""
        await self._answered.wait()

    def ailment(self) -> str:
        """Say that nothing is heard any more, should the watch ever end by a defect."""
        return ended(self._task, f"the watch of {self._path}")

    def get(self, namespace: str, name: str) -> Json | None:
        """Return an object as it was seen last."""
        return self._objects.get((namespace, name))

    def objects(self) -> list[Json]:
        """Return all objects as they were seen last."""
        return list(self._objects.values())

    async def _run(self) -> None:
        pause = _FIRST_PAUSE
        version = ""
        while True:
            try:
                version = version or await self._list()
                self._synced.set()
                self._answered.set()
                pause = _FIRST_PAUSE
                version = await self._watch(version)
            except ExpiredError:
                version = ""
            except FlyteformError as error:
                # A watch that broke off goes on where it was: what was missed meanwhile comes first.
                if isinstance(error, InvalidInputError):
                    self._answered.set()
                pause = min(2 * pause, _LONGEST_PAUSE)
                after = error.after if isinstance(error, ThrottledError) else pause * self._random.uniform(0.5, 1)
                logger.warning("watching %s broke off, again in %.1f s: %s", self._path, after, error.message)
                await asyncio.sleep(after)

    async def _list(self) -> str:
        """Take in the whole collection, page by page; what is not in it any more is gone."""
        found: set[tuple[str, str]] = set()
        token, version = "", ""
        ask = self._api.get_metadata if self._metadata_only else self._api.get
        while not version or token:
            page = await ask(self._path, limit=_PAGE, **({"continue": token} if token else {}), **self._query)
            for item in page["items"]:
                key = _key(item)
                found.add(key)
                self._take(key, item)
            token, version = page["metadata"].get("continue", ""), page["metadata"]["resourceVersion"]
        for key in [key for key in self._objects if key not in found]:
            self._tell(self._objects.pop(key), there=False)
        self._listed_at = asyncio.get_running_loop().time()
        return version

    async def _watch(self, version: str) -> str:
        """Take in changes until the server ends the watch; return from where to go on, "" if from a list."""
        loop = asyncio.get_running_loop()
        left = self._listed_at + self._resync * self._random.uniform(0.9, 1.1) - loop.time()
        try:
            async with asyncio.timeout(max(0.0, left)) as limit:
                async for kind, item in self._api.watch(
                    self._path, version, metadata_only=self._metadata_only, **self._query
                ):
                    if kind == "DELETED":
                        self._objects.pop(_key(item), None)
                        self._tell(self._keep(item), there=False)
                    elif kind != "BOOKMARK":
                        self._take(_key(item), item)
                    version = item["metadata"]["resourceVersion"]
        except ExpiredError:
            raise
        except FlyteformError as error:
            logger.info("the watch of %s at version %s ended: %s", self._path, version, error.message)
            await asyncio.sleep(_FIRST_PAUSE * self._random.uniform(0.5, 1))
        except TimeoutError:
            if not limit.expired():
                raise
            return ""
        return version

    def _take(self, key: tuple[str, str], item: Json) -> None:
        known = self._objects.get(key)
        if known is None or known["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
            kept = self._objects[key] = self._keep(item)
            self._tell(kept, there=True)

    def _tell(self, item: Json, *, there: bool) -> None:
        """Tell of a change. Anybody may have written the object: one that nobody expected must not hide the others."""
        try:
            self._observe(item, there)
        except Exception:
            logger.exception("a change of %s cannot be followed: %s", self._path, "/".join(_key(item)))


def _key(item: Json) -> tuple[str, str]:
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
