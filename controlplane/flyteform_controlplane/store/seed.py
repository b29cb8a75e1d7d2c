"""What a new platform has from the start."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from flyteform_controlplane.domain.records import ProjectRecord
from flyteform_controlplane.errors import EntityExistsError
from flyteform_controlplane.store.sql.store import SqlStore

if TYPE_CHECKING:
    from flyteform_controlplane.store.database import Database

PROJECT = "flytesnacks"


async def seed(database: Database) -> None:
    """Create the project that Flyte's sandbox starts with, unless it exists or another replica just makes it."""
    with suppress(EntityExistsError):
        await _seed(database)


async def _seed(database: Database) -> None:
    projects = SqlStore().projects
    async with database.transaction() as tx:
        if await projects.get(tx, PROJECT) is None:
            await projects.add(tx, ProjectRecord(identifier=PROJECT, name=PROJECT, description="A first project"))
