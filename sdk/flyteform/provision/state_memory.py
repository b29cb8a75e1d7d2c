"""A state that ends with its process: for registering what is owned by nobody."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flyteform.provision.errors import StateLockedError, StateLostError
from flyteform.provision.state_store import DocumentStore

if TYPE_CHECKING:
    from flyteform.provision.ports import Holder


class MemoryStateStore(DocumentStore):
    """A state that nobody else can reach."""

    def __init__(self) -> None:
        super().__init__(MemoryBackend())


@dataclass
class MemoryBackend:
    """One text, and who may write it."""

    text: str | None = None
    lease: _Lease | None = None
    location: str = "memory"

    async def read(self) -> str | None:
        """Return the text."""
        return self.text

    async def acquire(self, holder: Holder) -> _Lease:
        """Become the only writer."""
        if self.lease is not None:
            raise StateLockedError(self.location, self.lease.holder)
        self.lease = _Lease(self, holder)
        return self.lease

    async def holder(self) -> Holder | None:
        """Return who writes."""
        return None if self.lease is None else self.lease.holder

    async def unlock(self) -> None:
        """Let nobody write."""
        self.lease = None


@dataclass(eq=False)
class _Lease:
    backend: MemoryBackend = field(repr=False)
    holder: Holder

    def check(self) -> None:
        if self.backend.lease is not self:
            raise StateLostError(self.backend.location)

    async def write(self, text: str, serial: int) -> None:  # noqa: ARG002 - of use where a server compares it
        self.check()
        self.backend.text = text

    async def release(self) -> None:
        if self.backend.lease is self:
            self.backend.lease = None
