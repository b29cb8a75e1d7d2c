"""The state directory: who holds it, and where the platform that does can be reached."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flyteform_local.errors import PlatformError, StateDirectoryInUseError
from flyteform_local.processes import Process, this_process

if TYPE_CHECKING:
    from collections.abc import Generator

LOCK_NAME = "platform.lock"
ADDRESSES_NAME = "platform.json"
_LONGEST = 64 * 1024  # bytes of what a holder says of itself


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running platform serves: gRPC as `host:port`, REST as a URL, and the process that does it.

    Where it asks for a login, `client_id` and the file with that client's secret are a way in.
    """

    grpc: str
    http: str
    pid: int
    client_id: str = ""
    client_secret_file: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who runs a platform on the directory: its process, and for whom; nobody's is a person's own `flyteform dev`."""

    process: Process
    owner: str = ""


def default_state_dir() -> Path:
    """Return the user's state directory for the embedded platform, by the XDG base directory rules."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "flyteform"


@contextmanager
def hold(state_dir: Path, owner: str = "") -> Generator[Path]:
    """Make the directory if need be and hold it alone; raise `StateDirectoryInUseError` if somebody else does.

    The lock is the kernel's: it ends with the process that holds it, however that ends.
    """
    path = state_dir.expanduser().absolute()
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise PlatformError(
            f"the state directory {path} cannot be used: {error.strerror}",
            remedy="give a directory that you may write to with --state-dir",
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise _in_use(path) from error
        _say_who(descriptor, path, Holder(this_process(), owner))
        (path / ADDRESSES_NAME).unlink(missing_ok=True)
        try:
            yield path
        finally:
            with suppress(OSError):
                (path / ADDRESSES_NAME).unlink(missing_ok=True)
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _say_who(descriptor: int, path: Path, holder: Holder) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(holder)).encode(), 0)
    except OSError as error:
        raise PlatformError(
            f"the state directory {path} cannot be written to: {error.strerror}",
            remedy="make room on its disk, or give another directory with --state-dir",
        ) from error


def _in_use(path: Path) -> StateDirectoryInUseError:
    running = read_addresses(path)
    where = f" (process {running.pid}, serving at {running.http})" if running else ""
    return StateDirectoryInUseError(
        f"a platform is already running on {path}{where}",
        remedy="use that one, stop it first, or give another directory with --state-dir",
    )


def read_holder(state_dir: Path) -> Holder | None:
    """Return who runs a platform on this directory now, or None if nobody does."""
    try:
        with (state_dir / LOCK_NAME).open("rb") as file:
            said = json.loads(file.read(_LONGEST))
        holder = Holder(Process(**said["process"]), str(said["owner"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return holder if holder.process.runs else None


def write_addresses(state_dir: Path, addresses: Addresses) -> None:
    """Publish where the platform serves, for clients on this machine; readers see all of it or nothing."""
    target = state_dir / ADDRESSES_NAME
    temporary = target.with_suffix(".tmp")
    temporary.write_text(json.dumps(asdict(addresses)) + "\n")
    temporary.replace(target)


def read_addresses(state_dir: Path) -> Addresses | None:
    """Return where the platform on this directory serves, or None if none has said so."""
    try:
        return Addresses(**json.loads((state_dir / ADDRESSES_NAME).read_text()))
    except (OSError, ValueError, TypeError):
        return None
