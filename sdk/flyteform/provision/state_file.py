"""State in a local file: whole, durable writes and a lock that ends with its process."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteform.provision.errors import StateError, StateLockedError
from flyteform.provision.state import State, dump_state, load_state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def default_state_path(declaration: Path, endpoint: str, project: str, domain: str) -> Path:
    """Return where the state of a declaration lies: beside it, one file per platform, project and domain.

    Two declarations in one directory, or one declaration applied to two places, must not own each other's resources.
    """
    declaration = declaration.resolve()
    place = hashlib.sha256(f"{endpoint}\n{project}\n{domain}".encode()).hexdigest()[:10]
    return declaration.parent / ".flyteform" / f"{declaration.stem or 'root'}-{place}.state.json"


@dataclass(frozen=True, slots=True)
class FileStateStore:
    """The state in one file; a second file beside it, `<name>.lock`, is held while an apply runs."""

    path: Path

    @property
    def location(self) -> str:
        """The path."""
        return str(self.path)

    async def load(self) -> State:
        """Read the file; an empty state if there is none."""
        try:
            text = await asyncio.to_thread(self.path.read_text, encoding="utf-8")
        except FileNotFoundError:
            return State()
        except (OSError, UnicodeDecodeError) as error:
            raise StateError(f"cannot read the state {self.path}: {error}", remedy="check the file") from error
        return load_state(text, self.location)

    async def save(self, state: State) -> None:
        """Write a new file beside the old one and put it in its place."""
        try:
            await asyncio.to_thread(self._write, dump_state(state))
        except OSError as error:
            raise StateError(
                f"cannot write the state {self.path}: {error.strerror}",
                remedy="make its directory writable, or name another file with --state",
            ) from error

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Hold the lock file; the kernel frees it when this process ends, however it ends."""
        handle = self._open_lock()
        try:
            self._acquire(handle)
            yield
        finally:
            os.close(handle)

    def _open_lock(self) -> int:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(
                f"cannot write beside the state {self.path}: {error.strerror}",
                remedy="make its directory writable, or name another file with --state",
            ) from error

    def _acquire(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            raise StateLockedError(
                f"another apply (process {holder}) holds the state {self.path}", remedy="wait until it has ended"
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)

    def _write(self, text: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f"{self.path.name}.tmp")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
