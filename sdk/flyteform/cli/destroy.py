"""`flyteform destroy`: take what is declared out of use."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from flyteform.cli.options import approve_option, connection_options, path_argument, state_option

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform.client.config import ConnectionOptions


@click.command(short_help="Take what is declared out of use.")
@path_argument
@approve_option
@state_option
@connection_options
@click.pass_context
def destroy(
    context: click.Context,
    path: Path,
    *,
    connection: ConnectionOptions,
    approved: bool,
    state_file: Path | None,
) -> None:
    """Deactivate and archive all that the declaration in PATH declares, and what it owned before.

    FlyteAdmin deletes nothing: versions and executions stay, and an apply brings archived names back.
    """
    context.exit(asyncio.run(_destroy(path, connection, state_file, approved=approved)))


async def _destroy(path: Path, connection: ConnectionOptions, state_file: Path | None, *, approved: bool) -> int:
    from flyteform.cli.carry_out import carry_out
    from flyteform.client.admin import connect
    from flyteform.client.config import resolve
    from flyteform.provision.provisioner import default_store, make_plan
    from flyteform.provision.state_file import FileStateStore

    config = resolve(connection)
    store = FileStateStore(state_file) if state_file else default_store(path, config)
    async with connect(config) as client:
        plan = await make_plan(path, client, store, destroy=True)
        return await carry_out(plan, client, store, approved=approved)
