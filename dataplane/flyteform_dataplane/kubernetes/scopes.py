"""Where an operator looks: in the whole cluster, or in the namespaces that it was named and those it hears of later."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flyteform.errors import InvalidInputError
from flyteform_dataplane.kubernetes.informer import Informer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from flyteform_dataplane.kubernetes.informer import Collection
    from flyteform_dataplane.kubernetes.profile import Json

logger = logging.getLogger(__name__)

_PAGE = "500"


class Namespaces:
    """The namespaces that an operator's rights are for; without any it is the whole cluster.

    More of them may be learned: those that the platform has made, and those that another operator knows. None is ever
    forgotten, as executions may be in it.
    """

    def __init__(self, given: Iterable[str] = ()) -> None:
        self._names = dict.fromkeys(given)
        self._listeners: list[Callable[[str], None]] = []
        # Whether all namespaces are meant, whatever they are called.
        self.everywhere = not self._names

    def names(self) -> list[str]:
        """Return them; none where all are meant."""
        return list(self._names)

    def learn(self, names: Iterable[str]) -> None:
        """Add namespaces; nothing happens for those that are known, or where all are meant."""
        if self.everywhere:
            return
        for name in dict.fromkeys(names):
            if name and name not in self._names:
                logger.info("namespace %s is looked after from now on", name)
                self._names[name] = None
                for listener in list(self._listeners):
                    listener(name)

    def on_learned(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with each namespace that is learned."""
        self._listeners.append(listener)

    def no_more(self, listener: Callable[[str], None]) -> None:
        """Call `listener` no more."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def paths(self, collection: str) -> list[str]:
        """Return where a collection is looked at: as a whole, or in each namespace."""
        return [collection] if self.everywhere else [within(collection, name) for name in self._names]


def within(collection: str, namespace: str) -> str:
    """Return the path of the part of a collection that is in a namespace."""
    root, _, plural = collection.rpartition("/")
    return f"{root}/namespaces/{namespace}/{plural}"


class Informers:
    """Knows a collection wherever an operator looks: one informer for all, or one for each namespace.

    A namespace that may not be read, or is not there yet, is tried again and again and keeps nothing else from working.
    """

    def __init__(
        self,
        api: Collection,
        collection: str,
        observe: Callable[[Json, bool], None],
        namespaces: Namespaces,
        *,
        besides: Iterable[str] = (),
        selector: str = "",
        metadata_only: bool = False,
        keep: Callable[[Json], Json] = lambda item: item,
    ) -> None:
        """`besides` are namespaces that are looked at too, whatever executions there are in them."""
        self._collection = collection
        self._namespaces = namespaces
        self._besides = tuple(one for one in besides if one)
        self._parts: dict[str, Informer] = {}

        def make(path: str) -> Informer:
            return Informer(api, path, observe, selector=selector, metadata_only=metadata_only, keep=keep)

        self._make = make

    def start(self) -> None:
        """Begin to list and watch, until `stop`."""
        if self._namespaces.everywhere:
            self._add("", self._collection)
            return
        for name in dict.fromkeys((*self._namespaces.names(), *self._besides)):
            self._learned(name)
        self._namespaces.on_learned(self._learned)

    async def stop(self) -> None:
        """End all watches."""
        self._namespaces.no_more(self._learned)
        await asyncio.gather(*(part.stop() for part in self._parts.values()))

    async def synced(self) -> None:
        """Wait until what may be read has been taken in."""
        waiting = (part.synced() if self._namespaces.everywhere else part.answered() for part in self._parts.values())
        await asyncio.gather(*waiting)

    async def synced_in(self, namespace: str) -> None:
        """Wait until what is in a namespace, if that is looked at and may be read, has been taken in."""
        part = self._part(namespace)
        if part is not None:
            await part.answered()

    def ailment(self) -> str:
        """Say which watch has ended by a defect, if one has."""
        return next(filter(None, (part.ailment() for part in self._parts.values())), "")

    def get(self, namespace: str, name: str) -> Json | None:
        """Return an object as it was seen last."""
        part = self._part(namespace)
        return None if part is None else part.get(namespace, name)

    def objects(self) -> list[Json]:
        """Return all objects as they were seen last."""
        return [item for part in self._parts.values() for item in part.objects()]

    def _part(self, namespace: str) -> Informer | None:
        return self._parts.get("" if self._namespaces.everywhere else namespace)

    def _learned(self, name: str) -> None:
        self._add(name, within(self._collection, name))

    def _add(self, name: str, path: str) -> None:
        if name not in self._parts:
            self._parts[name] = self._make(path)
            self._parts[name].start()


async def look(api: Collection, collection: str, namespaces: Namespaces) -> None:
    """Find that there is such a collection; `NotFoundError` if there is none, as of a kind that nobody has defined."""
    for path in namespaces.paths(collection):
        with _passing_over(path, namespaces):
            await api.get_metadata(path, limit="1")


async def listed(api: Collection, collection: str, namespaces: Namespaces, selector: str) -> AsyncIterator[Json]:
    """Yield the metadata of all objects of a collection that match; a namespace that may not be read has none."""
    for path in namespaces.paths(collection):
        token = ""
        while True:
            query = {"limit": _PAGE, "labelSelector": selector, **({"continue": token} if token else {})}
            page: Json = {"items": [], "metadata": {}}
            with _passing_over(path, namespaces):
                page = await api.get_metadata(path, **query)
            for item in page["items"]:
                yield item
            token = page["metadata"].get("continue", "")
            if not token:
                break


@contextmanager
def _passing_over(path: str, namespaces: Namespaces) -> Iterator[None]:
    """Go on where one of several namespaces may not be read: it may be in a while."""
    try:
        yield
    except InvalidInputError as error:
        if namespaces.everywhere:
            raise
        logger.warning("%s is passed over: %s", path, error.message)
