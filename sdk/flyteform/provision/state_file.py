"""State in a local file: whole, durable writes and a lock that ends with its process."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from flyteform.provision.errors import StateError, StateLockedError, StateLostError
from flyteform.provision.ports import Holder
from flyteform.provision.state_store import DocumentStore

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform.provision.encryption import Cipher

_UNKNOWN = Holder("another process", "an unknown time")


def default_state_path(declaration: Path, endpoint: str, project: str, domain: str) -> Path:
    """Return where the state of a declaration lies: beside it, one file per platform, project and domain.

    Two declarations in one directory, or one declaration applied to two places, must not own each other's resources.
    """
    declaration = declaration.resolve()
    place = hashlib.sha256(f"{endpoint}\n{project}\n{domain}".encode()).hexdigest()[:10]
    return declaration.parent / ".flyteform" / f"{declaration.stem or 'root'}-{place}.state.json"


class FileStateStore(DocumentStore):
    """The state in one file."""

    def __init__(self, path: Path, cipher: Cipher | None = None) -> None:
        super().__init__(FileBackend(path), cipher)
        self.path = path


@dataclass(frozen=True, slots=True)
class FileBackend:
    """The document in one file; a second file beside it, `<name>.lock`, is there and locked while somebody writes."""

    path: Path

    @property
    def location(self) -> str:
        """The path."""
        return str(self.path)

    async def read(self) -> str | None:
        """Read the file."""
        try:
            return await asyncio.to_thread(self.path.read_text, encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise StateError(f"cannot read the state {self.path}: {error}", remedy="check the file") from error

    async def acquire(self, holder: Holder) -> _FileLease:
        """Hold the lock file; the kernel frees it when this process ends, however it ends."""
        while True:
            handle = self._open_lock()
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                found = _read_holder(handle)
                os.close(handle)
                raise StateLockedError(self.location, found, remedy=_WAIT) from error
            lease = _FileLease(self, handle)
            if lease.is_current():
                os.ftruncate(handle, 0)
                os.pwrite(handle, json.dumps(asdict(holder)).encode(), 0)
                return lease
            os.close(handle)  # its holder has removed it on leaving, after we had opened it

    async def holder(self) -> Holder | None:
        """Return who holds the lock file."""
        try:
            handle = os.open(self.lock_path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read_holder(handle)
        finally:
            os.close(handle)
        return None

    async def unlock(self) -> None:
        """Refuse while a process holds it: the lock ends with that, and it may still write until then."""
        if (found := await self.holder()) is not None:
            raise StateLockedError(self.location, found, remedy="end that process: the lock ends with it")

    @property
    def lock_path(self) -> str:
        """Return the file beside the state that is locked."""
        return f"{self.path}.lock"

    def _open_lock(self) -> int:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self.unwritable(error) from error

    def unwritable(self, error: OSError) -> StateError:
        """Return the error for what cannot be written."""
        return StateError(
            f"cannot write the state {self.path}: {error.strerror}",
            remedy="make its directory writable, or name another file with --state",
        )


_WAIT = "wait for it (--lock-timeout 10m), or end that process: the lock ends with it"


def _read_holder(handle: int) -> Holder:
    try:
        found = json.loads(os.pread(handle, 4096, 0))
        return Holder(str(found["who"]), str(found["since"]))
    except (ValueError, KeyError, TypeError):
        return _UNKNOWN


@dataclass(frozen=True, slots=True)
class _FileLease:
    backend: FileBackend
    handle: int

    def is_current(self) -> bool:
        """Tell whether the lock file at its place is the one that we have locked."""
        try:
            there, ours = os.stat(self.backend.lock_path), os.fstat(self.handle)  # noqa: PTH116 - a plain name
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def check(self) -> None:
        if not self.is_current():
            raise StateLostError(self.backend.location)

    async def write(self, text: str, serial: int) -> None:  # noqa: ARG002 - of use where a server compares it
        """Write a new file beside the old one and put it in its place."""
        self.check()
        try:
            await asyncio.to_thread(_replace, self.backend.path, text)
        except OSError as error:
            raise self.backend.unwritable(error) from error

    async def release(self) -> None:
        if self.is_current():
            with suppress(OSError):
                os.unlink(self.backend.lock_path)  # noqa: PTH108 - a plain name
        os.close(self.handle)


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
