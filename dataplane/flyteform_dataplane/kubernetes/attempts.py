"""What an executor knows of an attempt that is not over, besides its pod."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flyteform_dataplane.kubernetes.names import place_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteform_dataplane.ports import AttemptPhase, AttemptUpdate

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(eq=False, slots=True)
class PodAttempt:
    """An attempt, whom to tell of it, and what is being done for it."""

    name: str
    observe: Callable[[AttemptUpdate], None]
    place: tuple[str, str] = field(init=False)
    running: bool = False
    # What it waits for, as it was told last, and when; how many of something there are does not make it news.
    told: tuple[AttemptPhase, str] | None = None
    told_at: datetime = _NEVER
    stopping: bool = False
    creating: asyncio.Task[None] | None = None
    # What is said to the pod when its primary container has ended and others run on.
    settling: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    waited: bool = False  # whether it did not run when it was looked after last
    gone: bool = False
    # Made by who waits for it: ten thousand that nobody waits for would take megabytes.
    _going: asyncio.Event | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Note where its pod is."""
        self.place = place_of(self.name)

    async def cancel(self) -> None:
        """Do nothing more for it."""
        self.cancel_timer()
        tasks = [task for task in (self.creating, self.settling) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def note_gone(self) -> None:
        """Say that its pod was there and is no more."""
        self.gone = True
        if self._going is not None:
            self._going.set()

    async def until_gone(self) -> None:
        """Wait until its pod is no more."""
        if not self.gone:
            self._going = self._going or asyncio.Event()
            await self._going.wait()

    def cancel_timer(self) -> None:
        """Do not look again."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
