"""How much of an execution the control plane knows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flyteform_dataplane.ports import Reporter
    from flyteform_dataplane.runner.journal import Journal


class Acknowledgements:
    """Up to which event it knows all, of those that the journal has numbered."""

    def __init__(self, journal: Journal, reporter: Reporter, known: int) -> None:
        self._journal = journal
        self._reporter = reporter
        self.known = known
        self._news = asyncio.Event()

    def acknowledge(self, event: int) -> None:
        """Note that it knows all events up to this one."""
        self.known = max(self.known, event)
        self._news.set()

    async def told(self) -> None:
        """Return when it knows all that has happened up to now; others need not join what is still to be said."""
        event = self._journal.last_event
        while self.known < event:
            self._reporter.hurry()
            await self._more()

    async def all_told(self) -> None:
        """Return when it knows all of an execution that is over."""
        while self.known < self._journal.last_event:
            await self._more()

    async def _more(self) -> None:
        self._news.clear()
        await self._news.wait()
