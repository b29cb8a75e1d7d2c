"""Questions to data planes and their answers, over the link, whichever replica it ends at.

A replica that does not have the cluster's stream writes its question down; the one that has it passes it on and writes
the answers down. Words between the replicas only make that quick.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import aclosing, contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from flyteform.proto.flyteform.v1 import link_pb2
from flyteform.waiting import set_within
from flyteform_controlplane.domain.times import now as present
from flyteform_controlplane.errors import UnavailableError
from flyteform_controlplane.store.sql import clusters
from flyteform_controlplane.store.sql import questions as store
from flyteform_controlplane.store.sql.questions import QuestionRecord

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Iterator
    from datetime import datetime

    from flyteform_controlplane.dispatch.connection import Connection
    from flyteform_controlplane.store.database import Database

_log = logging.getLogger(__name__)
_TIMEOUT: Final = timedelta(seconds=30)
# How often the tables are looked at when no word comes, and how long a question lives that nobody extends.
_POLL_SECONDS: Final = 1.0
_LIFE: Final = timedelta(seconds=30)
_MAX_BATCH: Final = 100
# How many answers may lie in the database for one who asked; what was read is removed when it is half of that.
_MOST_UNREAD: Final = 1000
# What nobody waits for any more is removed after this time.
_CLEANING: Final = timedelta(minutes=5)


class Questions:
    """Asks data planes. `connections` gives the streams that end here, `tell` brings the other replicas to `look`."""

    def __init__(
        self,
        database: Database,
        connection: Callable[[str], Connection | None],
        connected: Callable[[], Collection[str]],
        *,
        tell: Callable[[], None] = lambda: None,
        now: Callable[[], datetime] = present,
    ) -> None:
        self._database = database
        self._connection = connection
        self._connected = connected
        self._tell = tell
        self._now = now
        self._wake = asyncio.Event()
        # Set when answers may have come for anybody here.
        self._news: set[asyncio.Event] = set()
        self._clean_at = now()
        self._task: asyncio.Task[None] | None = None
        self._passing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to pass the questions of other replicas on."""
        if not self._database.is_sqlite:
            self._task = asyncio.create_task(self._run(), name="questions to data planes")

    async def stop(self) -> None:
        """End all that is being asked for others."""
        tasks = [*self._passing, *([self._task] if self._task is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._task = None

    def look(self) -> None:
        """Look for questions and answers now."""
        self._wake.set()
        for event in self._news:
            event.set()

    async def one(self, cluster: str, message: link_pb2.ToDataPlane) -> link_pb2.FromDataPlane:
        """Ask and return the one answer; `UnavailableError` if the cluster cannot be asked or does not answer."""
        async with aclosing(self.all(cluster, message)) as found:
            async for answer in found:
                return answer
        raise UnavailableError(f"cluster {cluster!r} did not answer", remedy="try again")

    async def all(
        self, cluster: str, message: link_pb2.ToDataPlane, *, patience: timedelta = _TIMEOUT
    ) -> AsyncGenerator[link_pb2.FromDataPlane]:
        """Ask and yield the answers until the last one; `patience` is for the first, and without end after it."""
        number = secrets.randbits(62)
        getattr(message, message.WhichOneof("message") or "").id = number
        connection = self._connection(cluster)
        source = self._here(connection, message, number) if connection else self._elsewhere(cluster, message, number)
        deadline: float | None = asyncio.get_running_loop().time() + patience.total_seconds()
        async with aclosing(source):
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        answer = await anext(source, None)
                except TimeoutError as error:
                    raise UnavailableError(f"cluster {cluster!r} did not answer in time", remedy="try again") from error
                if answer is None:
                    raise UnavailableError(f"the link of cluster {cluster!r} broke", remedy="try again")
                yield answer
                if _is_last(answer):
                    return
                deadline = None

    async def _here(
        self, connection: Connection, message: link_pb2.ToDataPlane, number: int
    ) -> AsyncGenerator[link_pb2.FromDataPlane]:
        with connection.asking(number) as answers:
            connection.send(message)
            try:
                while (answer := await answers.get()) is not None:
                    yield answer
            finally:
                if message.WhichOneof("message") == "tail_logs":
                    connection.send(link_pb2.ToDataPlane(stop_tail=link_pb2.StopTail(id=number)))

    async def _elsewhere(
        self, cluster: str, message: link_pb2.ToDataPlane, number: int
    ) -> AsyncGenerator[link_pb2.FromDataPlane]:
        await self._check_heard(cluster)
        question = QuestionRecord(number, cluster, message.SerializeToString())
        async with self._database.transaction() as tx:
            at = self._now()
            await store.ask(tx, question, at, at + _LIFE)
        self._tell()
        position, dropped, extended = 0, 0, self._now()
        try:
            with self._listening() as news:
                while True:
                    news.clear()
                    async with self._database.reading() as tx:
                        found = await store.answers(tx, number, position)
                    for text in found:
                        yield link_pb2.FromDataPlane.FromString(text)
                    position += len(found)
                    if self._now() > extended + _LIFE:
                        return  # who reads was away for so long that nobody passes anything on any more
                    if self._now() > extended + _LIFE / 3 or position - dropped >= _MOST_UNREAD / 2:
                        extended, dropped = self._now(), position
                        await self._check_heard(cluster)
                        async with self._database.transaction() as tx:
                            await store.extend(tx, number, extended + _LIFE, position)
                    await set_within(news, _POLL_SECONDS)
        finally:
            async with self._database.transaction() as tx:
                await store.forget(tx, number)

    async def _check_heard(self, cluster: str) -> None:
        """Refuse to wait for a data plane that nobody hears."""
        async with self._database.reading() as tx:
            known = {one.name: one for one in await clusters.known_clusters(tx)}
        found = known.get(cluster)
        if self._database.is_sqlite or found is None or found.heartbeat_at is None or found.lost_since is not None:
            since = f" since {found.lost_since:%Y-%m-%d %H:%M:%S} UTC" if found and found.lost_since else ""
            raise UnavailableError(
                f"cluster {cluster!r}, which has the data, is not connected{since}", remedy="try again when it is back"
            )

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._pass_on()
                await self._clean()
            except Exception:  # noqa: BLE001 - one failed look must not be the last
                _log.exception("questions of other replicas cannot be looked for, trying again")
            await set_within(self._wake, _POLL_SECONDS)

    async def _clean(self) -> None:
        """Remove, once in a while, what replicas that have died asked."""
        at = self._now()
        if at >= self._clean_at:
            self._clean_at = at + _CLEANING
            async with self._database.transaction() as tx:
                await store.forget_old(tx, at - _CLEANING)

    async def _pass_on(self) -> None:
        here = list(self._connected())
        if not here:
            return
        async with self._database.transaction() as tx:
            taken = await store.take(tx, here, self._now())
        for question in taken:
            task = asyncio.create_task(self._pass(question))
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)

    async def _pass(self, question: QuestionRecord) -> None:
        """Ask for another replica until it has all answers, waits no longer, or the link breaks."""
        connection = self._connection(question.cluster)
        if connection is None:
            return
        message = link_pb2.ToDataPlane.FromString(question.message)
        # What is not written down waits in the connection, where there is a limit.
        answers: asyncio.Queue[bytes | None] = asyncio.Queue(_MAX_BATCH)

        async def collect() -> None:
            async with aclosing(self._here(connection, message, question.number)) as found:
                async for answer in found:
                    await answers.put(answer.SerializeToString())
                    if _is_last(answer):
                        break
            await answers.put(None)

        collecting = asyncio.create_task(collect())
        try:
            await self._write_down(question.number, answers)
        except Exception as error:  # noqa: BLE001 - the asker's patience ends; others go on
            _log.warning("an answer of cluster %s could not be passed on: %s", question.cluster, error)
        finally:
            collecting.cancel()
            await asyncio.gather(collecting, return_exceptions=True)

    async def _write_down(self, number: int, answers: asyncio.Queue[bytes | None]) -> None:
        position, more = 0, True
        while more:
            batch: list[bytes] = []
            with suppress(TimeoutError):
                # Not by wait_for: before Python 3.12 it loses a cancellation that comes with the answer.
                async with asyncio.timeout(_LIFE.total_seconds() / 3):
                    batch, more = _drained(await answers.get(), answers)
            while position >= _MOST_UNREAD and not await self._has_room(number):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(_POLL_SECONDS / 10)
            async with self._database.transaction() as tx:
                at = self._now()
                if not await store.is_wanted(tx, number, at):
                    return
                if batch:
                    await store.answer(tx, number, position, batch, at)
            position += len(batch)
            if batch:
                self._tell()

    async def _has_room(self, number: int) -> bool:
        """Say whether there are few enough answers that were not read, or nobody who reads them."""
        async with self._database.reading() as tx:
            wanted = await store.is_wanted(tx, number, self._now())
            return not wanted or await store.unread(tx, number) < _MOST_UNREAD

    @contextmanager
    def _listening(self) -> Iterator[asyncio.Event]:
        """Give an event that is set with each word of other replicas, while the block lasts."""
        event = asyncio.Event()
        self._news.add(event)
        try:
            yield event
        finally:
            self._news.discard(event)


def _drained(first: bytes | None, answers: asyncio.Queue[bytes | None]) -> tuple[list[bytes], bool]:
    """Return what has come, and whether more will."""
    batch: list[bytes] = []
    found = first
    while found is not None:
        batch.append(found)
        if answers.empty() or len(batch) == _MAX_BATCH:
            return batch, True
        found = answers.get_nowait()
    return batch, False


def _is_last(answer: link_pb2.FromDataPlane) -> bool:
    return answer.WhichOneof("message") != "log_lines" or answer.log_lines.end
