"""Faults at single writes: of the platform and of the state, before or after each is done."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flyteform.provision.state_store import DocumentStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyteform.provision.ports import Holder, StateBackend, StateLease

WRITES = ("create_", "register_", "update_", "set_", "delete_")


class Crash(BaseException):
    """What a killed process looks like from inside: nothing catches it."""


@dataclass
class Fuse:
    """Blows at the n-th write, before or after that is done, and at every later one."""

    left: int
    after: bool
    kill: bool = False

    async def burn(self, write: Callable[[], Awaitable[Any]]) -> Any:
        """Do one write, if it may still be done."""
        self.left -= 1
        if self.left < 0 or (self.left == 0 and not self.after):
            self._blow()
        result = await write()
        if self.left <= 0:
            self._blow()
        return result

    @property
    def blown(self) -> bool:
        """Whether the n-th write was reached."""
        return self.left <= 0

    def _blow(self) -> None:
        if self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        raise Crash


class DyingClient:
    """A client whose writes burn a fuse."""

    def __init__(self, client: Any, fuse: Fuse) -> None:
        self._client, self._fuse = client, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not name.startswith(WRITES):
            return found
        return lambda *args, **kwargs: self._fuse.burn(lambda: found(*args, **kwargs))


class DyingStore(DocumentStore):
    """A state whose writes burn a fuse."""

    def __init__(self, backend: StateBackend, fuse: Fuse) -> None:
        super().__init__(_DyingBackend(backend, fuse))


class _DyingBackend:
    def __init__(self, backend: StateBackend, fuse: Fuse) -> None:
        self._backend, self._fuse = backend, fuse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def acquire(self, holder: Holder) -> StateLease:
        lease: Any = _DyingLease(await self._backend.acquire(holder), self._fuse)
        return lease


class _DyingLease:
    def __init__(self, lease: StateLease, fuse: Fuse) -> None:
        self._lease, self._fuse = lease, fuse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lease, name)

    async def write(self, text: str, serial: int) -> None:
        await self._fuse.burn(lambda: self._lease.write(text, serial))
