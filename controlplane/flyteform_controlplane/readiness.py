"""What has to be there before the platform says that it is ready."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Readiness:
    """Named parts, each ready or not; `listener` is called with the whole's state whenever that changes."""

    def __init__(self, *parts: str) -> None:
        self._ready = dict.fromkeys(parts, False)
        self._listeners: list[Callable[[bool], None]] = []
        self._all = asyncio.Event()
        self._update()

    @property
    def ready(self) -> bool:
        """Whether every part is ready."""
        return all(self._ready.values())

    def missing(self) -> list[str]:
        """Name the parts that are not ready."""
        return [part for part, ready in self._ready.items() if not ready]

    def listen(self, listener: Callable[[bool], None]) -> None:
        """Call the listener on every change of `ready` from now on."""
        self._listeners.append(listener)

    def report(self, part: str, *, ready: bool = True) -> None:
        """Say whether a part is ready; a part that was not known is waited for from now on."""
        before = self.ready
        self._ready[part] = ready
        self._update()
        if self.ready != before:
            for listener in self._listeners:
                listener(self.ready)

    async def wait(self) -> None:
        """Return as soon as every part is ready."""
        await self._all.wait()

    def _update(self) -> None:
        if self.ready:
            self._all.set()
        else:
            self._all.clear()
