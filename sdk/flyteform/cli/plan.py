"""`flyteform plan`: what an apply would change."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flyteform.cli.options import connection_options, image_option, path_argument, state_option

if TYPE_CHECKING:
    from flyteform.client.config import ConnectionOptions
    from flyteform.provision.model import Plan

CHANGES_EXIT_CODE = 2


@click.command(short_help="Show what an apply would change.")
@path_argument
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Save the plan, for `flyteform apply FILE`."
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@state_option
@image_option
@connection_options
@click.pass_context
def plan(
    context: click.Context,
    path: Path,
    *,
    connection: ConnectionOptions,
    out: Path | None,
    as_json: bool,
    state_location: str | None,
    image: str | None,
) -> None:
    """Compare the declaration in PATH, a Python module or a directory of them, with the platform.

    Nothing is written. Exits with 0 if nothing would change, with 2 if something would.
    """
    found = asyncio.run(_plan(path, connection, state_location, image, out))
    _show(found, as_json=as_json)
    context.exit(CHANGES_EXIT_CODE if found.has_changes else 0)


async def _plan(
    path: Path, connection: ConnectionOptions, state_location: str | None, image: str | None, out: Path | None
) -> Plan:
    from flyteform.client.admin import connect
    from flyteform.client.config import resolve
    from flyteform.provision.provisioner import make_plan, store_for

    async with connect(resolve(connection)) as client:
        store = store_for(state_location, path, client)
        found = await make_plan(path, client, store, image=image)
    if out is not None:
        _save(found, out, store.location)
    return found


def _save(found: Plan, out: Path, state: str) -> None:
    from flyteform.errors import InvalidInputError
    from flyteform.provision.saved import dump_plan

    try:
        out.write_text(dump_plan(found, state), encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"cannot write {out}: {error.strerror}", remedy="name another file") from error


def _show(found: Plan, *, as_json: bool) -> None:
    if as_json:
        import json

        from flyteform.provision.document import plan_document

        click.echo(json.dumps(plan_document(found), indent=2))
    else:
        from flyteform.cli.render import print_lines, render

        print_lines(render(found))
