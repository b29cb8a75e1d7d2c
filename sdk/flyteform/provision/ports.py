"""What provisioning asks of the places that keep its state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from flyteform.provision.state import State


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a state, and since when (UTC, ISO 8601)."""

    who: str
    since: str

    def __str__(self) -> str:
        return f"{self.who} since {self.since}"


class StateLease(Protocol):
    """The right to write one state, for as long as it is held."""

    def check(self) -> None:
        """Raise `StateLostError` if it is known that somebody else may write by now."""
        ...

    async def write(self, text: str, serial: int) -> None:
        """Replace the document as a whole; it is durable when this returns.

        `StateLostError`, and nothing is written, if somebody else has taken the state over, however late this comes.
        `StateError` if it cannot be written.
        """
        ...

    async def release(self) -> None:
        """Let others write; never fails, as a lease that is not given back ends by itself."""
        ...


class StateBackend(Protocol):
    """Keeps the text of one state document."""

    @property
    def location(self) -> str:
        """Where it is kept: what `--state` takes."""
        ...

    async def read(self) -> str | None:
        """Return what was written last, None if nothing was; `StateError` if it cannot be read."""
        ...

    async def acquire(self, holder: Holder) -> StateLease:
        """Become the only one who can write; `StateLockedError` at once, with its holder, if somebody else is."""
        ...

    async def holder(self) -> Holder | None:
        """Return who holds it now."""
        ...

    async def unlock(self) -> None:
        """Take the right to write from whoever holds it; `StateLockedError` where only its own process can end it."""
        ...


class StateStore(Protocol):
    """Keeps one state."""

    @property
    def location(self) -> str:
        """Where it is kept, for messages."""
        ...

    async def load(self) -> State:
        """Return what was saved last, an empty state if nothing was; `StateError` if it cannot be read."""
        ...

    async def save(self, state: State) -> None:
        """Replace the document as a whole; it is durable when this returns.

        `StateError` if it cannot be written, `StateLostError` if the lock under which this runs was taken over.
        """
        ...

    def lock(
        self, wait: float = 0.0, on_wait: Callable[[Holder], None] | None = None
    ) -> AbstractAsyncContextManager[None]:
        """Hold the document alone while the block runs.

        If somebody else does, `on_wait` is told once and it is tried again for `wait` seconds; then `StateLockedError`.
        """
        ...

    def check(self) -> None:
        """Raise `StateLostError` if the lock under which this runs is known to be somebody else's by now."""
        ...
