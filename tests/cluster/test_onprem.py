"""infra/onprem's program brought up by Pulumi's protocol against a real API server with real pods.

The engine is the tests' own, or the real CLI where it is; what it runs is the program as users run it, with work of
theirs in it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import asyncpg
import pytest

from support.kubernetes import kubectl
from support.onprem import (
    IMAGE_BEFORE,
    OURS,
    Site,
    cluster_wide,
    door,
    engine,
    fitting,
    import_images,
    left_behind,
    site,
    thinker,
)
from support.onprem_users import caller, launch, outputs_of
from support.releases import newest_revision, packages, release_before

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)
T = TypeVar("T")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the sources of the release before the newest change of the schema."""
    found = release_before(tmp_path_factory.mktemp("before"))
    if found is None:
        assert not os.environ.get("CI"), "the release before needs the checkout's whole history"
        pytest.skip("the release before needs the checkout's whole history")
    return found


@pytest.fixture(scope="module")
def place(before: Path) -> Iterator[Site]:
    """Run what a site has, with images of the checkout and of the release before on its node."""
    import_images(before)
    with site() as made:
        yield made


async def revision(place: Site, database: str) -> str:
    """Return the version of a database's schema."""
    connection = await asyncpg.connect(place.postgres.url(database).replace("+asyncpg", ""))
    try:
        return str(await connection.fetchval("SELECT version_num FROM alembic_version"))
    finally:
        await connection.close()


async def timed(what: str, work: Awaitable[T]) -> T:
    """Say how long something took."""
    began = time.monotonic()
    done = await work
    logger.info("%s: %.1f s", what, time.monotonic() - began)
    return done


@pytest.mark.timeout(900)
async def test_platform_and_work(tmp_path: Path, place: Site, before: Path) -> None:
    """One up makes the platform and registers work; an upgrade keeps what runs; destroy leaves nothing, in mid-run."""
    found = cluster_wide()
    async with door() as entry, thinker() as first, thinker() as second:
        old = fitting(engine(tmp_path, place, entry, image=IMAGE_BEFORE, release=packages(before)))
        stack = fitting(engine(tmp_path, place, entry))
        try:
            made = (await timed("up", old.up())).check().outputs
            assert await revision(place, "admin") == await revision(place, "catalog") == newest_revision(before)
            async with caller(tmp_path, entry) as client:
                execution = await launch(client, "first", "arithmetic.total", made["arithmetic.total"], x=7)
                assert await timed("work", outputs_of(client, execution)) == {"o0": 21}
                kept = await launch(client, "kept", "arithmetic.patient", made["arithmetic.patient"], url=first.url)
                await asyncio.wait_for(first.asked.wait(), 120)
            upgraded = (await timed("upgrade", stack.up())).check().operations()
            assert upgraded["flyteform-release"] == "replace"
            assert upgraded["flyteform"] == upgraded["flyteform-dataplane"] == "update"
            again = (await timed("up again", stack.up())).check()
            assert again.operations() == {}
            assert await revision(place, "admin") == await revision(place, "catalog") == newest_revision()
            first.answering.set()
            async with caller(tmp_path, entry) as client:
                assert await timed("work", outputs_of(client, kept)) == {"o0": 42}
                await launch(client, "left", "arithmetic.patient", made["arithmetic.patient"], url=second.url)
                await asyncio.wait_for(second.asked.wait(), 120)
            assert first.calls == 1
        except BaseException:
            tell()
            raise
        (await timed("destroy", stack.destroy())).check()
    assert left_behind() == []
    assert cluster_wide() <= found


def tell() -> None:
    """Show what the platform's pods said, as far as they are still there."""
    for namespace in OURS:
        for words in (("get", "pods,jobs", "-owide"), ("get", "events", "--sort-by=.lastTimestamp")):
            logger.warning("%s", kubectl(*words, f"-n{namespace}"))
        for name in kubectl("get", "pods", f"-n{namespace}", "--output=name").split():
            with suppress(AssertionError):
                said = kubectl("logs", name, "--all-containers", "--tail=60", "--prefix", f"-n{namespace}")
                logger.warning("%s", said)
