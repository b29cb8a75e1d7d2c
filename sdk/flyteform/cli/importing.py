"""`flyteform import`: write the declaration of what a project has."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flyteform.cli.options import connection_options

if TYPE_CHECKING:
    from flyteform.client.config import ConnectionOptions
    from flyteform.provision.importing import Imported


@click.command("import", short_help="Write the declaration of what a project has.")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@click.option("--clusters", is_flag=True, help="Write the clusters of the platform, which belong to no project.")
@connection_options
def import_command(file: Path | None, *, connection: ConnectionOptions, force: bool, clusters: bool) -> None:
    """Write the declaration of what a project has, as Python, into FILE, or print it.

    --project says which project, --domain which domain of it (all without). Nothing is written to the platform, and
    a plan of the declaration is empty; applying it makes what it declares yours. Code that is registered cannot be read
    back: tasks and workflows are declared by name and version.
    """
    if file is not None and file.exists() and not force:
        raise click.UsageError(f"{file} is there already: name another file, or add --force")
    found = asyncio.run(_import(connection, clusters=clusters))
    if file is None:
        click.echo(found.text, nl=False)
    else:
        _write(file, found)
    for note in found.notes:
        click.echo(f"Left out: {note}", err=True)


async def _import(connection: ConnectionOptions, *, clusters: bool) -> Imported:
    from flyteform.client.admin import connect
    from flyteform.client.config import resolve
    from flyteform.provision.importing import import_clusters, import_declaration

    config = resolve(connection)
    async with connect(config) as client:
        if clusters:
            return await import_clusters(client)
        return await import_declaration(client, config.project, connection.domain)


def _write(file: Path, found: Imported) -> None:
    from flyteform.errors import InvalidInputError

    try:
        file.write_text(found.text, encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"cannot write {file}: {error.strerror}", remedy="name another file") from error
    click.echo(f"{file} declares {found.resources} resources; see: flyteform plan {file}")
