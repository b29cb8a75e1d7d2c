"""What a process knows of its own health: whether it has to be started anew, and whether it does its work."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Iterator

# Says what is wrong; "" if nothing is.
Check = Callable[[], str]


class Health:
    """Two questions that have different answers.

    Alive is a process whose work goes on, or would if those whom it calls answered: what others are to blame for is
    no reason to start it anew. Ready is one that does what it is for, at this moment.
    """

    def __init__(self) -> None:
        self._live: tuple[Check, ...] = ()
        self._ready: tuple[Check, ...] | None = None

    @contextmanager
    def working(self, live: Iterable[Check], ready: Iterable[Check]) -> Iterator[None]:
        """Go by these checks while there is work; before and after, the process is alive and not ready."""
        self._live, self._ready = tuple(live), tuple(ready)
        try:
            yield
        finally:
            self._live, self._ready = (), None

    def ailments(self) -> list[str]:
        """Say why the process has to be started anew, if it has."""
        return _found(self._live)

    def obstacles(self) -> list[str]:
        """Say what keeps it from its work, if anything does."""
        if self._ready is None:
            return ["its work has not begun"]
        return [*self.ailments(), *_found(self._ready)]


def ended(task: asyncio.Task[None] | None, what: str) -> str:
    """Say that a task that should go on until it is cancelled has ended by itself, which only a defect can cause."""
    if task is None or not task.done() or task.cancelled():
        return ""
    error = task.exception()
    return f"{what} has ended" if error is None else f"{what} has ended: {type(error).__name__}: {error}"


def _found(checks: Iterable[Check]) -> list[str]:
    return [said for check in checks if (said := check())]
