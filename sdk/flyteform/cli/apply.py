"""`flyteform apply`: bring the platform to what is declared."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from flyteform.cli.options import apply_options, connection_options, path_argument, state_option
from flyteform.cli.wishes import refresh_option, wish_options

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform.cli.options import Manner
    from flyteform.cli.wishes import Wish
    from flyteform.client.config import ConnectionOptions
    from flyteform.provision.model import Plan


@click.command(short_help="Bring the platform to what is declared.")
@path_argument
@apply_options
@state_option
@wish_options
@refresh_option
@connection_options
@click.pass_context
def apply(
    context: click.Context,
    path: Path,
    *,
    connection: ConnectionOptions,
    manner: Manner,
    state_location: str | None,
    wish: Wish,
) -> None:
    """Apply the declaration in PATH (a Python module, or a directory of them), or a plan saved by `plan --out`.

    Shows the plan and asks before it writes. A saved plan has been looked at, so it is not asked about; it is
    refused if the platform has changed since. Ctrl-C lets running steps finish; the next apply goes on from there.
    """
    if path.is_file() and path.suffix != ".py":
        context.exit(asyncio.run(_apply_saved(path, connection, state_location, replace(manner, approved=True))))
    context.exit(asyncio.run(_apply(path, connection, state_location, wish, manner)))


async def _apply(
    path: Path, connection: ConnectionOptions, state_location: str | None, wish: Wish, manner: Manner
) -> int:
    from flyteform.cli.carry_out import carry_out
    from flyteform.client.admin import connect
    from flyteform.client.config import resolve
    from flyteform.provision.provisioner import store_for

    async with connect(resolve(connection)) as client:
        store = store_for(state_location, path, client)
        return await carry_out(lambda: wish.plan(path, client, store), client, store, manner)


async def _apply_saved(path: Path, connection: ConnectionOptions, state_location: str | None, manner: Manner) -> int:
    from flyteform.cli.carry_out import carry_out
    from flyteform.client.admin import connect
    from flyteform.client.config import resolve
    from flyteform.provision.provisioner import check_fresh, store_for
    from flyteform.provision.saved import read_plan

    saved = read_plan(path)
    async with connect(resolve(connection)) as client:
        store = store_for(state_location or saved.state, path, client)

        async def checked() -> Plan:
            await check_fresh(saved.plan, client, store)
            return saved.plan

        return await carry_out(checked, client, store, manner)
