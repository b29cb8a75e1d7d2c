"""Pods that their namespaces have no room for, in the order in which they came."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

# How often the API server is asked for room in a namespace, by however many that wait: requests a second.
_ASKED = 10.0
_WOKEN = 2  # by each that has found room or has made some: what ends may have been larger than what waits


class Rooms:
    """Lets those that wait try again when a pod of their namespace has gone, and otherwise now and then."""

    def __init__(self) -> None:
        self._lines: dict[str, OrderedDict[asyncio.Future[None], None]] = {}

    @property
    def wanted(self) -> bool:
        """Whether anybody waits."""
        return bool(self._lines)

    async def wait(self, namespace: str, seconds: float) -> bool:
        """Wait so long, or longer if there are many; return True as soon as there may be room."""
        line = self._lines.setdefault(namespace, OrderedDict())
        turn = asyncio.get_running_loop().create_future()
        line[turn] = None
        try:
            async with asyncio.timeout(max(seconds, len(line) / _ASKED)):
                await turn
        except TimeoutError:
            return False
        finally:
            line.pop(turn, None)
            if not line and self._lines.get(namespace) is line:
                del self._lines[namespace]
        return True

    def freed(self, namespace: str) -> None:
        """Let some of those who wait longest try: somebody has gone, or has found room, so that there may be more."""
        line = self._lines.get(namespace)
        for _ in range(_WOKEN):
            if line:
                turn, _ = line.popitem(last=False)
                if not turn.done():
                    turn.set_result(None)
