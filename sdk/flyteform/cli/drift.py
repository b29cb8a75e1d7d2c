"""`flyteform drift`: what has changed on the platform since the last apply."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import click

from flyteform.cli.options import connection_options

if TYPE_CHECKING:
    from flyteform.client.config import ConnectionOptions
    from flyteform.provision.model import Plan

DRIFT_EXIT_CODE = 2
FORMAT, FORMAT_VERSION = "flyteform-drift", 1


@click.command(short_help="Show what somebody else has changed since the last apply.")
@click.argument("where")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@connection_options
@click.pass_context
def drift(context: click.Context, where: str, *, connection: ConnectionOptions, as_json: bool) -> None:
    """Compare the platform with what was applied last; the declaration itself is not read.

    WHERE is a declaration, whose state lies beside it, or a state (file or URL). Nothing is written. Exits with 0 if
    nothing has drifted, with 2 if something has.
    """
    found = asyncio.run(_find(where, connection))
    if as_json:
        click.echo(json.dumps(_document(found), indent=2))
    else:
        _show(found)
    context.exit(DRIFT_EXIT_CODE if found.has_changes else 0)


async def _find(where: str, connection: ConnectionOptions) -> Plan:
    from flyteform.cli.state import opened
    from flyteform.client.admin import connect
    from flyteform.client.config import resolve
    from flyteform.errors import NotFoundError
    from flyteform.provision.restoring import find_drift

    async with opened(where, connection) as store, connect(resolve(connection)) as client:
        state = await store.load()
        if not state.serial:
            raise NotFoundError(
                f"the state {store.location} is empty: nothing was applied with it",
                remedy="name the state that it was applied with, or apply it",
            )
        return await find_drift(client, state)


def _document(found: Plan) -> dict[str, object]:
    from flyteform.provision.document import plan_document

    changes = [change for change in plan_document(found)["changes"] if change["action"] != "no-op"]
    return {"format": FORMAT, "version": FORMAT_VERSION, "endpoint": found.endpoint, "changes": changes}


def _show(found: Plan) -> None:
    from flyteform.cli.wording import one_line
    from flyteform.provision.addresses import address_text
    from flyteform.provision.redaction import redact_field

    if not found.has_changes:
        click.echo(f"No drift: {found.endpoint} has what was applied last ({found.counts.unchanged} resources).")
        return
    click.echo(f"Changed on {found.endpoint} since the last apply:\n")
    for change in found.steps:
        click.echo(f"  {one_line(f'{address_text(change.address)}: {change.reason}')}")
        for each in map(redact_field, change.fields):
            text = f"{each.path}: {_value(each.after)} was applied, {_value(each.before)} is there"
            click.echo(f"      {one_line(text)}")
    click.echo("\nAn apply brings it back; what is right as it is now belongs into the declaration.")


def _value(text: str | None) -> str:
    return "nothing" if text is None else text
