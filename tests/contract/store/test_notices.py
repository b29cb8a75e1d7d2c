"""What replicas tell each other over a database, and which of them leads."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import text

from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.leadership import Leadership, LeaseTimes
from flyteform_controlplane.store.notices import Notices, Topic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DEADLINE_SECONDS = 10
QUICK = LeaseTimes(ttl=timedelta(seconds=0.6), interval=timedelta(seconds=0.1), margin=timedelta(seconds=0.1))


class Replica:
    """One process's view of the database: what it hears."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.notices = Notices(self.database)
        self.heard = {topic: asyncio.Event() for topic in Topic}
        for topic, event in self.heard.items():
            self.notices.listen(topic, event.set)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Replica]:
        """Listen while the block lasts; what may have been missed before counts as heard, and is forgotten."""
        await self.notices.start()
        await self.hear(*Topic)
        yield self
        await self.notices.stop()
        await self.database.close()

    async def hear(self, *topics: Topic) -> None:
        """Wait for these words and forget them."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            for topic in topics:
                await self.heard[topic].wait()
                self.heard[topic].clear()


async def test_word_reaches_the_other_replicas_and_only_its_listeners(postgres_url: str) -> None:
    """A topic is heard by all but its speaker; other topics are not."""
    async with Replica(postgres_url).listening() as one, Replica(postgres_url).listening() as two:
        one.notices.say(Topic.DISPATCH)
        await two.hear(Topic.DISPATCH)
        two.notices.say(Topic.SCHEDULES)
        await one.hear(Topic.SCHEDULES)
        assert not one.heard[Topic.DISPATCH].is_set()
        assert not two.heard[Topic.SCHEDULES].is_set()


async def test_broken_connection_is_made_anew_and_counts_as_a_word(postgres_url: str) -> None:
    """Whatever was said meanwhile is looked for, and words pass again."""
    async with Replica(postgres_url).listening() as one, Replica(postgres_url).listening() as two:
        async with one.database.transaction() as tx:
            others = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
            assert (await tx.execute(others)).rowcount == 2
        await two.hear(*Topic)
        await one.hear(*Topic)
        one.notices.say(Topic.DISPATCH)
        await two.hear(Topic.DISPATCH)


async def test_leader_is_one_and_another_follows_when_it_ends_or_dies(url: str) -> None:
    """The lease passes on at once when it is given up, and soon when its holder falls silent."""
    database = Database(url)
    changes = asyncio.Queue[str]()
    leaders = {name: Leadership(database, "schedules", QUICK) for name in ("a", "b")}
    for name, leader in leaders.items():
        leader.listen(lambda name=name: changes.put_nowait(name))
    async with asyncio.timeout(DEADLINE_SECONDS):
        await leaders["a"].start()
        assert await changes.get() == "a"
        await leaders["b"].start()
        assert (leaders["a"].held(), leaders["b"].held()) == (True, False)
        await leaders["a"].stop()
        assert await changes.get() == "b"
        assert (leaders["a"].held(), leaders["b"].held()) == (False, True)
        await leaders["a"].start()
        # As a process that is killed: nobody gives the lease up.
        task = leaders["b"]._task  # noqa: SLF001 - a kill has no public face
        assert task is not None
        task.cancel()
        assert await changes.get() == "a"
        assert (leaders["a"].held(), leaders["b"].held()) == (True, False)
        await leaders["a"].stop()
    await database.close()
