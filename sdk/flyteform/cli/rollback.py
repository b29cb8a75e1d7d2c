"""`flyteform rollback`: bring back what an earlier apply left."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from flyteform.cli.options import apply_options, connection_options

if TYPE_CHECKING:
    from flyteform.cli.options import Manner
    from flyteform.client.config import ConnectionOptions


@click.command(short_help="Bring back what an earlier apply left.")
@click.argument("where")
@click.argument("address", required=False)
@click.option("--to", "serial", type=click.IntRange(1), help="Serial of the apply to go back to: see `state history`.")
@click.option("--version", help="Version of ADDRESS to go back to.  [default: the one before]")
@apply_options
@connection_options
@click.pass_context
def rollback(
    context: click.Context,
    where: str,
    address: str | None,
    *,
    connection: ConnectionOptions,
    serial: int | None,
    version: str | None,
    manner: Manner,
) -> None:
    """Bring back one launch plan or workflow (ADDRESS), or all that was owned after an earlier apply (--to).

    WHERE is a declaration, whose state lies beside it, or a state (file or URL). Versions are never deleted, so going
    back activates those of that time: nothing is registered again. Going back to a version of a workflow takes its
    launch plans with it. The declaration stays as it is: check out its former text too, or the next apply goes
    forward again.
    """
    if (address is None) == (serial is None) or (version is not None and address is None):
        raise click.UsageError("give ADDRESS (and --version), or --to SERIAL", context)
    context.exit(asyncio.run(_rollback(where, connection, address, version, serial, manner)))


async def _rollback(
    where: str,
    connection: ConnectionOptions,
    address: str | None,
    version: str | None,
    serial: int | None,
    manner: Manner,
) -> int:
    from flyteform.cli.carry_out import carry_out
    from flyteform.cli.state import opened
    from flyteform.client.admin import connect
    from flyteform.client.config import resolve
    from flyteform.provision.addresses import parse_address
    from flyteform.provision.restoring import plan_return, return_to

    async with opened(where, connection) as store, connect(resolve(connection)) as client:
        state = await store.load()
        chosen = None if address is None else parse_address(address)
        target = await return_to(client, state, address=chosen, version=version, serial=serial)
        return await carry_out(lambda: plan_return(client, state, target), client, store, manner, target.goals)
