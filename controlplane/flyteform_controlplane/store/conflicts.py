"""Work that is done again when the database undid its transaction in favour of another one."""

from __future__ import annotations

import asyncio
import random
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from flyteform_controlplane.errors import TransactionConflictError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

ATTEMPTS: Final = 4
_LONGEST_PAUSE_SECONDS: Final = 0.05


@dataclass(slots=True)
class _Work:
    """What the work that runs now has committed."""

    commits: int = 0


_work: ContextVar[_Work | None] = ContextVar("work", default=None)


def note_commit() -> None:
    """Remember that what runs now has written something."""
    work = _work.get()
    if work is not None:
        work.commits += 1


async def again_after_conflict(work: Callable[[], Awaitable[T]]) -> T:
    """Do the work; again, a few times, if a deadlock or a conflict undid it before any of it was committed."""
    for left in reversed(range(ATTEMPTS)):
        written = _Work()
        token = _work.set(written)
        try:
            return await work()
        except TransactionConflictError:
            if not left or written.commits:
                raise
        finally:
            _work.reset(token)
        # Those that were in each other's way must not meet again.
        await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE_SECONDS))  # noqa: S311 - spreads load, hides nothing
    raise AssertionError  # the last attempt returns or raises
