"""Bring a database's schema to the version of this program, in one transaction."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from flyteform_controlplane.errors import FailedPreconditionError

if TYPE_CHECKING:
    from flyteform_controlplane.store.database import Database

# Any number, the same in all replicas: only one of them migrates a PostgreSQL database at a time.
_MIGRATION_LOCK = 0x666C_7974
# The version before the first: no tables.
BASE = "base"


def head_revision() -> str:
    """Return the newest schema version that this program knows: the number that starts the last file's name."""
    names = (entry.name for entry in files("flyteform_controlplane.store.migrations.versions").iterdir())
    return max(name.split("_", 1)[0] for name in names if name[:4].isdigit())


async def migrate(database: Database, *, to: str | None = None) -> None:
    """Bring the schema to this version, up or down: to the newest by default.

    `FailedPreconditionError` if the database is newer than this program.
    """
    async with database.transaction() as connection:
        if not database.is_sqlite:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        await connection.run_sync(_migrate, to or head_revision())


def _migrate(connection: Connection, wanted: str) -> None:
    current, head = _current_revision(connection), head_revision()
    if current == wanted:
        return
    if current is not None and current > head:
        raise FailedPreconditionError(
            f"the database {connection.engine.url.render_as_string()} has schema version {current}, "
            f"and this flyteform knows versions up to {head}",
            remedy="start the flyteform version that wrote it, or a newer one, or give another state directory",
        )
    # Imported here: a start on an up-to-date database need not load alembic.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "flyteform_controlplane.store:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    if current is None or (wanted != BASE and current < wanted):
        command.upgrade(config, wanted)
    else:
        command.downgrade(config, wanted)


def _current_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found
