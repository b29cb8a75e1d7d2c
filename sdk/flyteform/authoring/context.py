"""What a running task may know of itself: its execution, its attempt, its checkpoint, a place for its data."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flyteform.authoring.secrets import Secrets
from flyteform.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

# flytekit's name of the one file of a checkpoint, so that either reads the other's.
_FILE = "_dst_cp"


class Checkpoint:
    """What one attempt leaves for the next one, should there be one: some bytes, replaced by each `write`.

    `destination` and `previous` are URIs of folders. Without a destination, as in a run on this machine, the bytes
    are kept in memory.
    """

    def __init__(self, destination: str = "", previous: str = "") -> None:
        self._destination = destination
        self._previous = previous
        self._written: bytes | None = None

    def read(self) -> bytes | None:
        """Return what this attempt has written, else what the one before it has left; None if there is nothing."""
        if self._written is None and self._previous:
            from flyteform.objects.direct import read

            try:
                left = read(f"{self._previous}/{_FILE}")
            except NotFoundError:
                self._previous = ""
            else:
                self.write(left)  # so that the attempt after this one has it even if this one writes nothing
        return self._written

    def write(self, content: bytes) -> None:
        """Keep the bytes; they survive the end of this attempt, however sudden, once this returns."""
        if self._destination:
            from flyteform.objects.direct import write

            write(f"{self._destination}/{_FILE}", content)
        self._written = bytes(content)


@dataclass(frozen=True, slots=True)
class TaskContext:
    """The attempt that runs. `execution` is empty in a run on this machine, `index` None for what is no item of a map.

    Whatever the task stores below the URI `raw_output_prefix` is this attempt's alone. `attempted` says that a platform
    runs it.
    """

    project: str = ""
    domain: str = ""
    execution: str = ""
    task: str = ""
    attempt: int = 0
    index: int | None = None
    raw_output_prefix: str = ""
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    attempted: bool = field(default=False, repr=False)

    @property
    def secrets(self) -> Secrets:
        """The secrets that the task may read."""
        return Secrets(local=not self.attempted)


_current = TaskContext()


def current_context() -> TaskContext:
    """Return the context of the task that calls this."""
    return _current


@contextmanager
def local(task: str, index: int | None = None) -> Iterator[None]:
    """Make this process a task that runs here, for the block; within an attempt it stays that attempt."""
    global _current  # noqa: PLW0603 - as in `enter`
    before = _current
    if not before.attempted:
        _current = TaskContext(task=task, index=index)
    try:
        yield
    finally:
        _current = before


def enter(*, raw_output_prefix: str, checkpoint: Checkpoint, index: int | None) -> None:
    """Make this process the attempt that its environment names."""
    global _current  # noqa: PLW0603 - a process runs one attempt, and what its threads ask is about it too
    variables = os.environ.get
    _current = TaskContext(
        project=variables("FLYTE_INTERNAL_EXECUTION_PROJECT", ""),
        domain=variables("FLYTE_INTERNAL_EXECUTION_DOMAIN", ""),
        execution=variables("FLYTE_INTERNAL_EXECUTION_ID", ""),
        task=variables("FLYTE_INTERNAL_TASK_NAME", ""),
        attempt=int(variables("FLYTE_ATTEMPT_NUMBER", "") or 0),
        index=index,
        raw_output_prefix=raw_output_prefix,
        checkpoint=checkpoint,
        attempted=True,
    )
