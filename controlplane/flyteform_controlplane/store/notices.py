"""Words between the replicas on one PostgreSQL database: "look at this table now"."""

from __future__ import annotations

import asyncio
import logging
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from flyteform.waiting import set_within

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteform_controlplane.store.database import Database

_log = logging.getLogger(__name__)
_CHANNEL: Final = "flyteform"
# How long to wait before connecting anew, and how often to ask whether the connection still stands.
_PAUSE_SECONDS: Final = 0.5
_CHECK_SECONDS: Final = 5.0
# A word is a transaction for PostgreSQL, which it makes durable: one for all that are said within this time.
_REST_SECONDS: Final = 0.02


class Topic(StrEnum):
    """What there is to look at."""

    DISPATCH = "dispatch"
    SCHEDULES = "schedules"
    CLUSTERS = "clusters"
    QUESTIONS = "questions"


class Notices:
    """Carries topics to the other replicas, over one connection of its own; listeners here are not told of ours.

    Words can be lost with a connection, so listeners also look by themselves now and then. On SQLite there are no
    other replicas, and nothing happens.

    The connection is asked every few seconds whether it stands, so this also knows whether the database answers, and
    tells `reached`: soon after it has gone, at most some seconds after it fell silent, and when it is back.
    """

    def __init__(self, database: Database, reached: Callable[[bool], None] = lambda _: None) -> None:
        self._database = database
        self._reached = reached
        self._listeners: dict[str, Callable[[], None]] = {}
        self._unsaid: set[str] = set()
        # Set when there is something to say, when the connection is lost, and at the end.
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def listen(self, topic: Topic, listener: Callable[[], None]) -> None:
        """Call the listener when another replica says the topic, and when its words may have been missed."""
        self._listeners[topic] = listener

    def say(self, topic: Topic) -> None:
        """Tell the other replicas, soon: call this after the transaction has committed."""
        if self._task is not None:
            self._unsaid.add(topic)
            self._wake.set()

    async def start(self) -> None:
        """Begin to listen."""
        if self._database.is_sqlite:
            self._reached(True)  # it is a file of this machine's
            return
        self._stopping = False
        self._task = asyncio.create_task(self._run(), name="notices")

    async def stop(self) -> None:
        """Listen no longer."""
        if self._task is not None:
            self._stopping = True
            self._wake.set()
            await self._task
            self._task = None

    async def _run(self) -> None:
        while not self._stopping:
            try:
                await self._converse()
            except Exception as error:  # noqa: BLE001 - whatever broke the connection, the next one may stand
                self._reached(False)
                reason = str(error) or type(error).__name__
                _log.warning("other replicas cannot be heard, connecting again: %s", reason)
                await set_within(self._wake, _PAUSE_SECONDS)

    async def _converse(self) -> None:
        async with self._database.reading() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            driver.add_termination_listener(self._lost)
            try:
                await driver.add_listener(_CHANNEL, self._hear)
                self._reached(True)
                # What was said while nobody listened here.
                for listener in self._listeners.values():
                    listener()
                while not self._stopping and not driver.is_closed():
                    await self._speak(driver)
            finally:
                driver.remove_termination_listener(self._lost)
                # Never back into the pool: it would go on listening there.
                await connection.invalidate()

    async def _speak(self, driver: Any) -> None:
        self._wake.clear()
        topics = frozenset(self._unsaid)
        for topic in topics:
            await driver.execute("SELECT pg_notify($1, $2)", _CHANNEL, topic, timeout=_CHECK_SECONDS)
        # Only now: what could not be said is said on the next connection.
        self._unsaid -= topics
        if topics:
            await asyncio.sleep(_REST_SECONDS)
        if not await set_within(self._wake, _CHECK_SECONDS):
            await driver.execute("SELECT 1", timeout=_CHECK_SECONDS)

    def _lost(self, _driver: Any) -> None:
        self._wake.set()

    def _hear(self, driver: Any, pid: int, _channel: str, topic: str) -> None:
        if pid != driver.get_server_pid() and topic in self._listeners:
            self._listeners[topic]()
