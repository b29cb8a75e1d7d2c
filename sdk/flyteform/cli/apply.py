"""`flyteform apply`: bring the platform to what is declared."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flyteform.cli.options import approve_option, connection_options, image_option, path_argument, state_option

if TYPE_CHECKING:
    from flyteform.client.config import ConnectionOptions


@click.command(short_help="Bring the platform to what is declared.")
@path_argument
@approve_option
@state_option
@image_option
@connection_options
@click.pass_context
def apply(
    context: click.Context,
    path: Path,
    *,
    connection: ConnectionOptions,
    approved: bool,
    state_file: Path | None,
    image: str | None,
) -> None:
    """Apply the declaration in PATH (a Python module, or a directory of them), or a plan saved by `plan --out`.

    Shows the plan and asks before it writes. A saved plan has been looked at, so it is not asked about; it is
    refused if the platform has changed since.
    """
    if path.is_file() and path.suffix != ".py":
        context.exit(asyncio.run(_apply_saved(path, connection, state_file)))
    context.exit(asyncio.run(_apply(path, connection, state_file, image, approved=approved)))


async def _apply(
    path: Path, connection: ConnectionOptions, state_file: Path | None, image: str | None, *, approved: bool
) -> int:
    from flyteform.cli.carry_out import carry_out
    from flyteform.client.admin import connect
    from flyteform.client.config import resolve
    from flyteform.provision.provisioner import default_store, make_plan
    from flyteform.provision.state_file import FileStateStore

    config = resolve(connection)
    store = FileStateStore(state_file) if state_file else default_store(path, config)
    async with connect(config) as client:
        plan = await make_plan(path, client, store, image=image)
        return await carry_out(plan, client, store, approved=approved)


async def _apply_saved(path: Path, connection: ConnectionOptions, state_file: Path | None) -> int:
    from flyteform.cli.carry_out import carry_out
    from flyteform.client.admin import connect
    from flyteform.client.config import resolve
    from flyteform.provision.provisioner import check_fresh
    from flyteform.provision.saved import read_plan
    from flyteform.provision.state_file import FileStateStore

    saved = read_plan(path)
    store = FileStateStore(state_file or Path(saved.state))
    async with connect(resolve(connection)) as client:
        await check_fresh(saved.plan, client, store)
        return await carry_out(saved.plan, client, store, approved=True)
