"""One state in one place: its document read and written, its lock waited for and held."""

from __future__ import annotations

import asyncio
import getpass
import os
import random
import socket
import time
import uuid
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flyteform.provision.errors import StateError, StateLockedError
from flyteform.provision.ports import Holder
from flyteform.provision.state import State
from flyteform.provision.state_document import dump_state, load_state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flyteform.provision.encryption import Cipher
    from flyteform.provision.ports import StateBackend, StateLease

_FIRST_RETRY, _LAST_RETRY = 0.05, 2.0  # seconds between two looks at a lock that somebody else holds


class DocumentStore:
    """The state that a backend keeps, encrypted if there is a cipher."""

    def __init__(self, backend: StateBackend, cipher: Cipher | None = None) -> None:
        self.backend = backend
        self._cipher = cipher
        self._lease: StateLease | None = None

    @property
    def location(self) -> str:
        """Where it is kept: what `--state` takes."""
        return self.backend.location

    async def load(self) -> State:
        """Return what was saved last, an empty state if nothing was; `StateError` if it cannot be read."""
        text = await self.backend.read()
        return State() if text is None else load_state(await self._opened(text), self.location)

    async def save(self, state: State) -> None:
        """Replace the document; outside of `lock` the lock is held for that long."""
        text = dump_state(state)
        if self._cipher is not None:
            text = await asyncio.to_thread(self._cipher.seal, text)
        if self._lease is not None:
            await self._lease.write(text, state.serial)
            return
        lease = await self._acquire(time.monotonic(), None)
        try:
            await lease.write(text, state.serial)
        finally:
            await lease.release()

    @asynccontextmanager
    async def lock(self, wait: float = 0.0, on_wait: Callable[[Holder], None] | None = None) -> AsyncIterator[None]:
        """Hold the document alone; `StateLockedError` if somebody else still does after `wait` seconds."""
        lease = await self._acquire(time.monotonic() + wait, on_wait)
        self._lease = lease
        try:
            yield
        finally:
            self._lease = None
            await asyncio.shield(lease.release())

    async def encrypt(self, cipher: Cipher | None) -> None:
        """Write the state again under another cipher, or in the open for None; the lock is held for that long."""
        async with self.lock():
            state = await self.load()
            self._cipher = cipher
            await self.save(state.next(uuid.uuid4().hex))

    def check(self) -> None:
        """Raise `StateLostError` if the lock is known to be somebody else's by now."""
        if self._lease is not None:
            self._lease.check()

    async def _acquire(self, deadline: float, on_wait: Callable[[Holder], None] | None) -> StateLease:
        pause = _FIRST_RETRY
        while True:
            try:
                return await self.backend.acquire(this_process())
            except StateLockedError as error:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise
                if on_wait is not None:
                    on_wait(error.holder)
                    on_wait = None
            # Jitter, so that several that wait do not look at the same moment.
            await asyncio.sleep(min(left, pause * random.uniform(0.5, 1.0)))  # noqa: S311 - guards nothing
            pause = min(_LAST_RETRY, 2 * pause)

    async def _opened(self, text: str) -> str:
        from flyteform.provision.encryption import is_sealed

        if is_sealed(text):
            if self._cipher is None:
                raise StateError(
                    f"the state {self.location} is encrypted",
                    remedy="set FLYTEFORM_STATE_PASSPHRASE, or FLYTEFORM_STATE_PASSPHRASE_FILE to a file that has it",
                )
            return await asyncio.to_thread(self._cipher.unseal, text, self.location)
        if self._cipher is not None:
            # Who can write there must not be able to put a plain document in the place of an encrypted one.
            raise StateError(
                f"the state {self.location} is not encrypted, and a passphrase is set",
                remedy="encrypt it with: flyteform state passphrase; or unset FLYTEFORM_STATE_PASSPHRASE",
            )
        return text


def this_process() -> Holder:
    """Return how this process is named to others."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Holder(f"{user}@{socket.gethostname()} (process {os.getpid()})", now)
