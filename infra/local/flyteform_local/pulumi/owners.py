"""Which stack a state directory belongs to: a file in it, which outlives the platform's process."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flyteform.errors import ConflictError
from flyteform_local.errors import PlatformError
from flyteform_local.pulumi.kinds import TOKEN
from flyteform_local.state import LOCK_NAME, hold

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

STACK_NAME = "stack.json"
# All that platforms make; what else lies in their directory is not theirs to remove.
_FILES = ("platform.json", "platform.log", "platform.log.1", "dataplane.lock", "signing.key", STACK_NAME)
_DATABASES = ("control.db", "dataplane.db")
_FOLDERS = ("objects", "work", "bundles")


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose a directory is, by the resource's URN, and what that asked for last."""

    owner: str
    inputs: Mapping[str, Any]


def read_claim(state_dir: Path) -> Claim | None:
    """Return whose a directory is, None if it is nobody's."""
    try:
        said = json.loads((state_dir / STACK_NAME).read_text())
        return Claim(str(said["owner"]), dict(said["inputs"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def claim(state_dir: Path, wanted: Claim) -> None:
    """Make a directory this resource's; `ConflictError` if it is another's, `PlatformError` if it can be none's."""
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = {each.name for each in state_dir.iterdir() if not each.name.startswith((STACK_NAME, *_FILES))}
    except OSError as error:
        raise _unusable(state_dir, error) from error
    if found and not has_platform(state_dir):
        raise PlatformError(
            f"{state_dir} is no platform's state directory: {min(found)} is in it",
            remedy="give an empty directory, or one that is not there yet",
        )
    if _first(state_dir, wanted):
        return
    before = read_claim(state_dir)
    if before is not None and before.owner != wanted.owner:
        raise taken(state_dir, before.owner)
    keep_claim(state_dir, wanted)


def taken(state_dir: Path, owner: str) -> ConflictError:
    """Return the refusal of a directory that is another resource's."""
    return ConflictError(
        f"{state_dir} belongs to another stack's resource, {owner}",
        remedy="give another stateDir; or take over what a stack that is gone has left: "
        f"pulumi import {TOKEN} NAME {state_dir}",
    )


def keep_claim(state_dir: Path, wanted: Claim) -> None:
    """Write down whose a directory is; readers see all of it or what was there before."""
    with _aside(state_dir, wanted) as aside:
        aside.replace(state_dir / STACK_NAME)


def _first(state_dir: Path, wanted: Claim) -> bool:
    """Write it down where nothing is; False if somebody was faster."""
    with _aside(state_dir, wanted) as aside:
        try:
            os.link(aside, state_dir / STACK_NAME)
        except FileExistsError:
            return False
    return True


@contextmanager
def _aside(state_dir: Path, wanted: Claim) -> Generator[Path]:
    aside = state_dir / f"{STACK_NAME}.{secrets.token_hex(8)}"
    try:
        aside.write_text(json.dumps({"owner": wanted.owner, "inputs": dict(wanted.inputs)}) + "\n")
        yield aside
    except OSError as error:
        raise _unusable(state_dir, error) from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def release(state_dir: Path) -> None:
    """Make a directory nobody's."""
    with suppress(OSError):
        (state_dir / STACK_NAME).unlink(missing_ok=True)


def has_platform(state_dir: Path) -> bool:
    """Tell whether a platform has been in a directory, or a resource was about to make one.

    `PlatformError` if it cannot be looked into.
    """
    try:
        return any((state_dir / name).exists() for name in (_DATABASES[0], LOCK_NAME, STACK_NAME))
    except OSError as error:
        raise _unusable(state_dir, error) from error


def remove_data(state_dir: Path) -> tuple[str, ...]:
    """Remove all that platforms made in a directory, and it if nothing is left; return the names of what is."""
    with hold(state_dir):
        for name in _FOLDERS:
            shutil.rmtree(state_dir / name, ignore_errors=True)
        for name in (*_FILES, *(f"{each}{suffix}" for each in _DATABASES for suffix in ("", "-wal", "-shm"))):
            (state_dir / name).unlink(missing_ok=True)
        (state_dir / LOCK_NAME).unlink(missing_ok=True)
    left = tuple(sorted(each.name for each in state_dir.iterdir()))
    if not left:
        state_dir.rmdir()
    return left


def _unusable(state_dir: Path, error: OSError) -> PlatformError:
    return PlatformError(
        f"the state directory {state_dir} cannot be used: {error.strerror}",
        remedy="give stateDir a directory that you may write to, on a disk with room",
    )
