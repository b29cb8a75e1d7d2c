"""What provisioning asks of the place that keeps its state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from flyteform.provision.state import State


class StateStore(Protocol):
    """Keeps one state document."""

    @property
    def location(self) -> str:
        """Where it is kept, for messages."""
        ...

    async def load(self) -> State:
        """Return what was saved last, an empty state if nothing was; `StateError` if it cannot be read."""
        ...

    async def save(self, state: State) -> None:
        """Replace the document as a whole; it is durable when this returns. `StateError` if it cannot be written."""
        ...

    def lock(self) -> AbstractAsyncContextManager[None]:
        """Hold the document alone while the block runs; `StateLockedError` at once if somebody else does."""
        ...
