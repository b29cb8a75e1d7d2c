"""`flyteform plan`: what an apply would change, and what that means."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flyteform.cli.options import connection_options, judgement_options, path_argument, state_option
from flyteform.cli.wishes import refresh_option, wish_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform.cli.options import Judgement
    from flyteform.cli.wishes import Wish
    from flyteform.client.config import ConnectionOptions
    from flyteform.provision.model import Plan

CHANGES_EXIT_CODE = 2


@dataclass(frozen=True, slots=True)
class _Form:
    """How a plan is printed."""

    as_json: bool = False
    as_markdown: bool = False
    verbose: bool = False
    color: bool | None = None


@click.command(short_help="Show what an apply would change.")
@path_argument
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Save the plan, for `flyteform apply FILE`."
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the plan as a comment for a pull request.")
@click.option("-v", "--verbose", is_flag=True, help="Fold nothing, and count the calls to the platform.")
@click.option("--color/--no-color", default=None, help="Colour the text.  [default: on a terminal]")
@judgement_options
@state_option
@wish_options
@refresh_option
@connection_options
@click.pass_context
def plan(
    context: click.Context,
    /,
    path: Path,
    *,
    connection: ConnectionOptions,
    judgement: Judgement,
    out: Path | None,
    state_location: str | None,
    wish: Wish,
    **form: bool,
) -> None:
    """Compare the declaration in PATH, a Python module or a directory of them, with the platform.

    Nothing is written. Exits with 0 if nothing would change, with 2 if something would, and with 1 after an error: also
    if a policy denies the plan, or if it breaks callers without --allow-breaking.
    """
    from flyteform.provision.gate import check_allowed

    shape = _Form(**form)
    _check(shape)
    if out is not None and wish.refresh_only:
        raise click.UsageError("--refresh-only is applied at once: flyteform apply --refresh-only")
    found, sent = asyncio.run(_plan(path, connection, state_location, wish, judgement, out))
    _show(found, shape, sent)
    check_allowed(found)
    context.exit(CHANGES_EXIT_CODE if found.has_changes else 0)


def _check(form: _Form) -> None:
    if form.as_json and form.as_markdown:
        raise click.UsageError("--json and --markdown exclude each other")


async def _plan(
    path: Path,
    connection: ConnectionOptions,
    state_location: str | None,
    wish: Wish,
    judgement: Judgement,
    out: Path | None,
) -> tuple[Plan, Mapping[str, int]]:
    from flyteform.client.admin import connect
    from flyteform.client.config import resolve
    from flyteform.provision.provisioner import store_for

    async with connect(resolve(connection)) as client:
        store = store_for(state_location, path, client)
        found = judgement.judge(await wish.plan(path, client, store))
        sent = dict(client.caller.sent)
    if out is not None:
        _save(found, out, store.location)
    return found, sent


def _save(found: Plan, out: Path, state: str) -> None:
    from flyteform.errors import InvalidInputError
    from flyteform.provision.saved import dump_plan

    try:
        # What it would register may hold what is nobody else's business.
        out.touch(mode=0o600)
        out.write_text(dump_plan(found, state), encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"cannot write {out}: {error.strerror}", remedy="name another file") from error


def _show(found: Plan, form: _Form, sent: Mapping[str, int]) -> None:
    if form.as_json:
        import json

        from flyteform.provision.document import plan_document

        click.echo(json.dumps(plan_document(found), indent=2))
    elif form.as_markdown:
        from flyteform.cli.markdown import render_markdown

        click.echo(render_markdown(found), nl=False)
    else:
        from flyteform.cli.render import print_lines, render, render_calls

        print_lines(render(found, full=form.verbose), color=form.color)
        if form.verbose:
            print_lines(render_calls(sent), color=form.color)
