"""Values that never change, kept in memory for a while."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

_LARGEST_BYTES: Final = 2**20


class Kept:
    """What was read, by name, the least used leaving first when all together are too large."""

    def __init__(self, budget: int) -> None:
        """`budget` is in bytes."""
        self._budget = budget
        self._used = 0
        self._entries: OrderedDict[object, tuple[Any, int]] = OrderedDict()

    def get(self, name: object) -> Any:
        """Return what is kept under the name, None if nothing is."""
        found = self._entries.get(name)
        if found is None:
            return None
        self._entries.move_to_end(name)
        return found[0]

    def put(self, name: object, value: Any, size: int) -> None:
        """Keep a value of about so many bytes, unless it is large."""
        if size > _LARGEST_BYTES:
            return
        self._used += size - self._entries.pop(name, (None, 0))[1]
        self._entries[name] = value, size
        while self._used > self._budget:
            self._used -= self._entries.popitem(last=False)[1][1]
