"""`flyteform destroy`: take what is declared out of use."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from flyteform.cli.options import apply_options, connection_options, path_argument, state_option
from flyteform.cli.wishes import wish_options

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform.cli.options import Manner
    from flyteform.cli.wishes import Wish
    from flyteform.client.config import ConnectionOptions


@click.command(short_help="Take what is declared out of use.")
@path_argument
@apply_options
@state_option
@wish_options
@connection_options
@click.pass_context
def destroy(
    context: click.Context,
    path: Path,
    *,
    connection: ConnectionOptions,
    manner: Manner,
    state_location: str | None,
    wish: Wish,
) -> None:
    """Deactivate and archive all that the declaration in PATH declares, and what it owned before.

    FlyteAdmin deletes nothing: versions and executions stay, and an apply brings archived names back.
    """
    context.exit(asyncio.run(_destroy(path, connection, state_location, wish, manner)))


async def _destroy(
    path: Path, connection: ConnectionOptions, state_location: str | None, wish: Wish, manner: Manner
) -> int:
    from flyteform.cli.carry_out import carry_out
    from flyteform.client.admin import connect
    from flyteform.client.config import resolve
    from flyteform.provision.provisioner import store_for

    async with connect(resolve(connection)) as client:
        store = store_for(state_location, path, client)
        return await carry_out(lambda: wish.plan(path, client, store, destroy=True), client, store, manner)
