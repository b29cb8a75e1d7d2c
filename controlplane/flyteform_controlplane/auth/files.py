"""Files that only their owner may read, complete before they have their names."""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from flyteform.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DIRECTORY: Final = "auth"  # below the state directory


def write_private(path: Path, content: bytes) -> None:
    """Write the file with mode 0600, replacing what was there; readers see all of it or nothing."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def private_directory(path: Path) -> None:
    """Make the directory, for its owner alone."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(
            f"the directory {path} cannot be made: {error.strerror}", remedy="choose another with --state-dir"
        ) from error


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Let one process at a time make files in the directory; replicas that share it start together."""
    descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # the kernel lets go of it with the process
        yield
    finally:
        os.close(descriptor)


def damaged(path: Path, reason: str) -> InvalidInputError:
    """Return the error for a file of ours that cannot be used; its content stays out of it."""
    return InvalidInputError(
        f"{path} cannot be used: {reason}", remedy="restore it, or delete it to have a new one made"
    )
