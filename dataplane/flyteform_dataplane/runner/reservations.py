"""The right to compute a result that others wait for: taken before an item runs, kept while it does, given back.

Flyte's serialized cache. A reservation that nobody extends expires, so a crash holds nobody up for long. One that
cannot be had because the catalog fails holds up nobody either: the item runs without it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flyteidl.core.catalog_pb2 import CatalogReservation

from flyteform.errors import FlyteformError
from flyteform_dataplane.engine.phases import ItemPhase
from flyteform_dataplane.runner.context import key_of
from flyteform_dataplane.runner.waits import give_up

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta

    from flyteform_dataplane.engine.state import State
    from flyteform_dataplane.ports import CacheKey, Catalog, Clock
    from flyteform_dataplane.runner.context import ExecutionContext

logger = logging.getLogger(__name__)

Item = tuple[str, int]
Status = CatalogReservation.Status


@dataclass(slots=True)
class Reservations:
    """The reservations of one execution. All of them are extended every `heartbeat`."""

    context: ExecutionContext
    state: State
    catalog: Catalog
    clock: Clock
    heartbeat: timedelta
    key: Callable[[str, int], Awaitable[CacheKey]]
    _held: dict[Item, CacheKey | None] = field(default_factory=dict)
    _statuses: dict[Item, Status] = field(default_factory=dict)
    _beating: asyncio.Task[None] | None = None
    _releasing: set[asyncio.Task[None]] = field(default_factory=set)

    def wanted(self, node: str) -> bool:
        """Whether the results of a node are computed by one at a time."""
        record = self.context.graph.nodes[node]
        return record.cacheable and record.task is not None and record.task.metadata.cache_serializable

    def status(self, node: str) -> Status:
        """Return how it stands with the reservation of a node, as events tell it."""
        return self._statuses.get((node, 0), CatalogReservation.RESERVATION_DISABLED)

    async def take(self, node: str, index: int, key: CacheKey) -> bool:
        """Say whether the item may run: False while another has the right."""
        item = node, index
        try:
            mine = await self.catalog.reserve(key, self._owner(item), self.heartbeat)
        except FlyteformError as error:
            logger.warning("the cache gives no reservation for node %s: %s", node, error.message)
            self._statuses[item] = CatalogReservation.RESERVATION_FAILURE
            return True
        self._statuses[item] = (
            CatalogReservation.RESERVATION_ACQUIRED if mine else CatalogReservation.RESERVATION_EXISTS
        )
        if mine:
            self._hold(item, key)
        return mine

    def resume(self, node: str, index: int) -> None:
        """Go on holding what the item held before a crash, if it did."""
        if self.wanted(node) and (node, index) not in self._held:
            self._statuses[node, index] = CatalogReservation.RESERVATION_ACQUIRED
            self._hold((node, index), None, at_once=True)

    async def release(self, node: str, index: int) -> None:
        """Give it back; it expires by itself where that fails."""
        item = node, index
        if item not in self._held:
            return
        key = self._held.pop(item)
        self._statuses[item] = CatalogReservation.RESERVATION_RELEASED
        try:
            await self.catalog.release(key or await self.key(*item), self._owner(item))
        except FlyteformError as error:
            logger.warning("the reservation of node %s is left to expire: %s", node, error.message)

    def settle(self) -> None:
        """Give back what items hold that have ended without a result."""
        for item in [item for item in self._held if self._over(item)]:
            task = asyncio.create_task(self.release(*item))
            self._releasing.add(task)
            task.add_done_callback(self._releasing.discard)

    async def close(self) -> None:
        """Finish giving back; what is still held stays so until it expires, or is resumed."""
        if self._beating is not None:
            await give_up([self._beating])
        if self._releasing:
            await asyncio.gather(*self._releasing, return_exceptions=True)

    def _hold(self, item: Item, key: CacheKey | None, *, at_once: bool = False) -> None:
        self._held[item] = key
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._beat(at_once=at_once))

    async def _beat(self, *, at_once: bool) -> None:
        if not at_once:
            await self.clock.sleep(self.heartbeat)
        while self._held:
            for item in list(self._held):
                if item in self._held and not self._over(item):
                    await self._extend(item)
            await self.clock.sleep(self.heartbeat)

    async def _extend(self, item: Item) -> None:
        try:
            key = self._held[item] or await self.key(*item)
            if item in self._held:
                self._held[item] = key
                await self.catalog.reserve(key, self._owner(item), self.heartbeat)
        except FlyteformError as error:
            logger.warning("the reservation of node %s cannot be extended: %s", item[0], error.message)

    def _over(self, item: Item) -> bool:
        node = self.state.nodes.get(item[0])
        if node is None or node.items is None:
            return True
        return node.phase.terminal or ItemPhase(node.items.phases[item[1]]).terminal

    def _owner(self, item: Item) -> str:
        return f"{key_of(self.context.id)}/{item[0]}/{item[1]}"
