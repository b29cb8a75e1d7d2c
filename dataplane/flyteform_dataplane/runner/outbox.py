"""Events on their way to the control plane: numbered, in order, the progress of one array folded."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from flyteform_dataplane.engine.events import ArrayEvent, TaskPhase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform_dataplane.engine.events import Event, ItemProgress
    from flyteform_dataplane.ports import Clock, Reporter
    from flyteform_dataplane.runner.context import ExecutionContext
    from flyteform_dataplane.runner.messages import Renderer

# So that what starts next need not wait for messages to be written; several steps' go together.
_SOON = timedelta(milliseconds=4)
# An event of so many items has some 100 KiB, far below what one message may have.
_ITEMS_PER_EVENT = 1000


class Outbox:
    """Hands the events of one execution to the reporter."""

    def __init__(
        self, context: ExecutionContext, renderer: Renderer, reporter: Reporter, clock: Clock, interval: float
    ) -> None:
        self._context = context
        self._renderer = renderer
        self._reporter = reporter
        self._clock = clock
        self._interval = timedelta(seconds=interval)
        self._waiting: list[tuple[int, Event]] = []
        self._timer: asyncio.Task[None] | None = None
        self._soon = False

    def add(self, events: Sequence[tuple[int, Event]], *, last: bool = False) -> None:
        """Send the events soon; an array's progress may wait a little longer for more of it, and the last ones not."""
        self._waiting.extend(events)
        if last:
            self.flush()
        if not self._waiting:
            return
        soon = not all(_is_progress(event) for _, event in events)
        if self._timer is None or (soon and not self._soon):
            self.close()
            self._soon = soon
            self._timer = asyncio.create_task(self._flush_after(_SOON if soon else self._interval))

    def repeat(self, events: Sequence[tuple[int, Event]]) -> None:
        """Send at once what had not been acknowledged before a restart; it comes before all else."""
        self._send(events, again=True)

    def flush(self) -> None:
        """Send what waits."""
        self.close()
        waiting, self._waiting = self._waiting, []
        self._send(waiting)

    def close(self) -> None:
        """Stop waiting for more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send(self, events: Sequence[tuple[int, Event]], *, again: bool = False) -> None:
        if events:
            rendered = [(sequence, self._renderer.render(sequence, event)) for sequence, event in _fold(events)]
            self._reporter.send(self._context.id, rendered, again=again)

    async def _flush_after(self, pause: timedelta) -> None:
        await self._clock.sleep(pause)
        self._timer = None
        self.flush()


def _is_progress(event: Event) -> bool:
    return isinstance(event, ArrayEvent) and event.phase is TaskPhase.RUNNING and bool(event.items)


def _fold(events: Sequence[tuple[int, Event]]) -> list[tuple[int, Event]]:
    """Make one event of an array's progress that follows on itself; of each attempt the last phase counts.

    The number is the last one's, as the acknowledgement of a number means all before it too.
    """
    folded: list[tuple[int, Event]] = []
    for sequence, event in events:
        if folded and isinstance(event, ArrayEvent) and _is_progress(event):
            last = folded[-1][1]
            if isinstance(last, ArrayEvent) and _is_progress(last) and last.node == event.node:
                items = _latest((*last.items, *event.items))
                if len(items) <= _ITEMS_PER_EVENT:
                    folded[-1] = sequence, replace(event, items=items)
                    continue
        folded.append((sequence, event))
    return folded


def _latest(items: Sequence[ItemProgress]) -> tuple[ItemProgress, ...]:
    latest: dict[tuple[int, int], ItemProgress] = {}
    for item in items:
        before = latest.get((item.index, item.attempt))
        if before is not None:
            item = replace(  # noqa: PLW2901 - the same item, with what was known of it
                item,
                log_uri=item.log_uri or before.log_uri,
                cache=item.cache or before.cache,
                reason=item.reason or before.reason,
            )
        latest[item.index, item.attempt] = item
    return tuple(latest.values())
